#include "aggregator/watch/device_state_taker.h"

#include "protocol/base/fault_point.h"
#include "protocol/base/limits.h"
#include "protocol/base/log.h"
#include "protocol/envelope/open_upload.h"

namespace tributary {

Result<Bytes> OpenSmallUpload(const UploadHeader& header, const HpkeKeyPair& key, const ChunkSource& chunk) {
  const UploadSubject& subject = header.subject;
  if (subject.codec != Codec::kRecord) {
    return Fail(Code::kUnknownCodec, "{} comes as a record, not as codec {}", KindName(subject.kind),
                static_cast<int>(subject.codec));
  }
  if (subject.plaintext_size > limits::kRecordBytes || subject.chunk_size > limits::kMaxChunkBytes) {
    return Fail(Code::kTooLarge, "{} of {} bytes", KindName(subject.kind), subject.plaintext_size);
  }
  ASSIGN_OR_RETURN(auto opener, UploadOpener::Begin(header, key));
  Bytes part(subject.chunk_size);
  Bytes plaintext;
  for (uint32_t i = 0; i < subject.chunk_count; ++i) {
    ASSIGN_OR_RETURN(const Bytes ciphertext, chunk(i));
    ASSIGN_OR_RETURN(const size_t size, opener.OpenChunk(ciphertext, part));
    Append(plaintext, ByteView(part).first(size));
  }
  return plaintext;
}

Verdict DeviceStateTaker::Admit(const UploadHeader& header) {
  const UploadSubject& subject = header.subject;
  ASSIGN_OR_RETURN(const auto kept, parts_.store.reports.Find(subject.device));
  if (kept && kept->upload == subject.id) return Verdict::Counted();
  RETURN_IF_ERROR(OpeningKey(parts_.opening_key, subject));
  RETURN_IF_ERROR(parts_.health.status());
  return Verdict::Take();
}

Verdict DeviceStateTaker::Take(const UploadHeader& header, Role role, const ChunkSource& chunk) {
  const UploadSubject& subject = header.subject;
  RETURN_IF_ERROR(CheckSender(subject.kind, role, true));
  ASSIGN_OR_RETURN(const HpkeKeyPair* const key, OpeningKey(parts_.opening_key, subject));
  ASSIGN_OR_RETURN(const Bytes plaintext, OpenSmallUpload(header, *key, chunk));
  DeviceStateRecord record{subject.device, subject.id, parts_.clock.Now(), {}};
  ASSIGN_OR_RETURN(record.report, DecodeDeviceState(plaintext));
  ASSIGN_OR_RETURN(const auto kept, parts_.store.reports.Find(subject.device));
  const auto order = kept ? OrderOf(kept->report, record.report) : Result<DeviceStateOrder>(DeviceStateOrder::kNext);
  if (!order) {
    parts_.fleet.WentBack(subject.device, subject.task, order.error());
    return Fail(order.error());
  }
  if (auto stored = Keep(record, *order == DeviceStateOrder::kNext); !stored) {
    if (IsOfTheEnvironment(stored.error().code)) parts_.health.Failed("report.not_stored", stored.error());
    return Fail(stored.error());
  }
  if (*order == DeviceStateOrder::kNext) {
    parts_.fleet.WentOn(subject.device);
    SayChanges(record);
  }
  parts_.fleet.account().DeliverAtOnce(subject.kind);
  parts_.fleet.CountUpload(subject.device, role);
  parts_.custody({subject.id});
  return Verdict::Take();
}

// Once for each device, task and code.
void DeviceStateTaker::SayChanges(const DeviceStateRecord& record) {
  for (const FailureBook::Change& change : parts_.fleet.failures().Put(record)) {
    const std::string device = record.device.text();
    parts_.events.Say({.name = change.recovered ? "device.recovered" : "device.failing",
                       .task = change.task,
                       .version = change.failure.version,
                       .detail = change.recovered ? fmt::format("{}: {} is over", device, Name(change.failure.code))
                                                  : fmt::format("{}: {}: {}", device, Name(change.failure.code),
                                                                change.failure.sentence)});
  }
}

Status DeviceStateTaker::Keep(const DeviceStateRecord& record, bool newest) {
  ASSIGN_OR_RETURN(Transaction transaction, parts_.store.Begin());
  if (newest) RETURN_IF_ERROR(parts_.store.reports.Save(record));
  RETURN_IF_ERROR(parts_.store.accounts.Add(UploadKind::kDeviceState, Outcome::kDelivered, Code::kMalformed, 1));
  TRIBUTARY_FAULT_POINT("aggregator.report.before_commit");
  return transaction.Commit();
}

}  // namespace tributary

#include "aggregator/round/durable_coordinator.h"
#include "aggregator/watch/evaluations.h"
#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"

// What devices say of themselves: the newest report of each is kept. It decides nothing here; people read it.
namespace tributary {

Verdict DurableCoordinator::AdmitDeviceState(const UploadHeader& header) {
  const UploadSubject& subject = header.subject;
  ASSIGN_OR_RETURN(const auto kept, store_->reports.Find(subject.device));
  if (kept && kept->upload == subject.id) return Verdict::Counted();
  RETURN_IF_ERROR(OpeningKey(subject));
  RETURN_IF_ERROR(health_.status());
  return Verdict::Take();
}

Verdict DurableCoordinator::CountDeviceState(const UploadHeader& header, Role role, const ChunkSource& chunk) {
  const UploadSubject& subject = header.subject;
  if (role != Role::kDevice && role != Role::kEvaluator) {
    return Fail(Code::kWrongRole, "a device state does not come from role " + std::string(RoleName(role)));
  }
  ASSIGN_OR_RETURN(const HpkeKeyPair* const key, OpeningKey(subject));
  ASSIGN_OR_RETURN(const Bytes plaintext, OpenDeviceState(header, *key, chunk));
  DeviceStateRecord record{subject.device, subject.id, parts_.clock.Now(), {}};
  ASSIGN_OR_RETURN(record.report, DecodeDeviceState(plaintext));
  ASSIGN_OR_RETURN(const auto kept, store_->reports.Find(subject.device));
  const auto order = kept ? OrderOf(kept->report, record.report) : Result<DeviceStateOrder>(DeviceStateOrder::kNext);
  if (!order) {
    // A copy of the device at work, or a device set back to an older state: somebody should look at it.
    LogFailure(LogLevel::kWarning, "device.report_rolled_back", order.error(), {{"device", subject.device.text()}});
    listener_.OnEvent({.sequence = ++event_sequence_,
                       .name = "device.report_rolled_back",
                       .task = subject.task,
                       .at = record.received,
                       .detail = subject.device.text() + ": " + order.error().message});
    return Fail(order.error());
  }
  if (auto stored = StoreDeviceState(record, *order == DeviceStateOrder::kNext); !stored) {
    if (IsOfTheEnvironment(stored.error().code)) health_.Failed("report.not_stored", stored.error());
    return Fail(stored.error());
  }
  accounts_.DeliverAtOnce(UploadKind::kDeviceState);
  members_.CountUpload(subject.device, role, record.received);
  listener_.OnCustody({subject.id});
  return Verdict::Take();
}

Status DurableCoordinator::StoreDeviceState(const DeviceStateRecord& record, bool newest) {
  ASSIGN_OR_RETURN(Transaction transaction, store_->Begin());
  if (newest) RETURN_IF_ERROR(store_->reports.Save(record));
  RETURN_IF_ERROR(store_->accounts.Add(UploadKind::kDeviceState, Outcome::kDelivered, Code::kMalformed, 1));
  TRIBUTARY_FAULT_POINT("aggregator.report.before_commit");
  return transaction.Commit();
}

}  // namespace tributary

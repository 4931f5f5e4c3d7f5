// How uploads leave: delivered, dropped, giving way; and what becomes of the dead letters.

#include <algorithm>

#include "protocol/base/log.h"
#include "protocol/spool/lost_bytes.h"
#include "protocol/spool/spool_writer.h"

namespace tributary {
namespace {

// A sender that comes back after a long outage is told why its upload was dropped. A line has about 200 bytes.
constexpr uint64_t kDeadLetters = 10'000;
// Uploads that leave in one transaction: a few megabytes of the index's log.
constexpr size_t kPage = 500;

uint64_t TelemetryBytes(const SpooledUpload& upload) {
  return upload.kind == UploadKind::kDeviceState ? upload.ciphertext_size : 0;
}

}  // namespace

// ---- Gauges

Status SpoolWriter::CountIn(const SpooledUpload& upload) {
  KindAccount& kind = account_.of(upload.kind);
  if (upload.state == UploadState::kComplete) {
    ++kind.spooled;
    ++account_.waiting_of(upload.priority);
  } else {
    ++kind.in_flight;
    account_.unwritten += upload.ciphertext_size - upload.StoredBytes();
  }
  account_.CountBytes(upload.kind, upload.ciphertext_size, 1);
  ASSIGN_OR_RETURN(auto holding, Watched(index_.account().Held(upload.device)));
  if (holding.uploads++ == 0) ++account_.devices;
  holding.bytes += upload.ciphertext_size;
  holding.telemetry += TelemetryBytes(upload);
  return Watched(index_.account().Hold(upload.device, holding));
}

Status SpoolWriter::CountOut(const SpooledUpload& upload) {
  partials_.erase(upload.id);
  completed_.erase(upload.id);
  KindAccount& kind = account_.of(upload.kind);
  if (upload.state == UploadState::kComplete) {
    --kind.spooled;
    --account_.waiting_of(upload.priority);
  } else {
    --kind.in_flight;
    account_.unwritten -= upload.ciphertext_size - upload.StoredBytes();
  }
  account_.CountBytes(upload.kind, upload.ciphertext_size, -1);
  ASSIGN_OR_RETURN(auto holding, Watched(index_.account().Held(upload.device)));
  if (--holding.uploads == 0) --account_.devices;
  holding.bytes -= upload.ciphertext_size;
  holding.telemetry -= TelemetryBytes(upload);
  return Watched(index_.account().Hold(upload.device, holding));
}

// ---- Leaving

Status SpoolWriter::TakeOut(const SpooledUpload& upload) {
  RETURN_IF_ERROR(CountOut(upload));
  RETURN_IF_ERROR(Watched(index_.Remove(upload.id)));
  if (!upload.in_index) freed_.insert(upload.id);
  return {};
}

Result<SpooledUpload> SpoolWriter::CompleteOf(const UploadId& id) {
  ASSIGN_OR_RETURN(auto here, Watched(index_.Find(id)));
  if (!here || here->state != UploadState::kComplete)
    return Fail(Code::kUnknownUpload, "upload " + id.hex() + " is not in custody");
  return std::move(*here);
}

Status SpoolWriter::Delivered(const UploadId& id) {
  ASSIGN_OR_RETURN(const SpooledUpload upload, CompleteOf(id));
  RETURN_IF_ERROR(TakeOut(upload));
  ++account_.of(upload.kind).delivered;
  return Watched(index_.RememberDelivered(upload));
}

Status SpoolWriter::Drop(const UploadId& id, Code reason) {
  ASSIGN_OR_RETURN(const auto upload, Watched(index_.Find(id)));
  if (!upload) return Fail(Code::kUnknownUpload, "upload " + id.hex() + " is not here");
  uint64_t lost = 0;
  if (reason == Code::kCorrupt && upload->state == UploadState::kComplete) {
    ASSIGN_OR_RETURN(lost, LostBytesOf(*upload));
  }
  return Bury(*upload, reason, lost);
}

Status SpoolWriter::DropOne(const SpooledUpload& upload, Code reason) {
  RETURN_IF_ERROR(TakeOut(upload));
  ++account_.of(upload.kind).dropped[reason];
  LogInfo("upload.dropped", {{"id", upload.id.hex()}, {"kind", KindName(upload.kind)}, {"reason", Name(reason)}});
  return {};
}

Status SpoolWriter::DropAll(const std::vector<SpooledUpload>& uploads, Code reason, Swept& swept) {
  for (const SpooledUpload& upload : uploads) RETURN_IF_ERROR(DropOne(upload, reason));
  swept.dropped += uploads.size();
  swept.more = swept.dropped >= kPage;
  return {};
}

Result<SpoolWriter::Swept> SpoolWriter::DropStale(const TaskId& task, const std::vector<ModelVersion>& accepted) {
  Swept swept;
  ASSIGN_OR_RETURN(const auto versions, Watched(index_.BaseVersions(task)));
  for (const ModelVersion version : versions) {
    const bool newer = !accepted.empty() && version > *std::ranges::max_element(accepted);
    if (newer || std::ranges::find(accepted, version) != accepted.end()) continue;
    ASSIGN_OR_RETURN(const auto uploads, Watched(index_.UpdatesOf(task, version, kPage - swept.dropped)));
    RETURN_IF_ERROR(DropAll(uploads, Code::kStaleVersion, swept));
    if (swept.more) break;
    RETURN_IF_ERROR(Watched(index_.ForgetDelivered(task, version)));
  }
  return swept;
}

Result<SpoolWriter::Swept> SpoolWriter::DropSealedTo(const std::vector<KeyId>& keys) {
  Swept swept;
  if (keys.empty()) return swept;
  ASSIGN_OR_RETURN(swept.more, LearnKeys());
  if (swept.more) return swept;
  for (const KeyId& key : keys) {
    ASSIGN_OR_RETURN(const auto uploads, Watched(index_.SealedTo(key, kPage - swept.dropped)));
    RETURN_IF_ERROR(DropAll(uploads, Code::kUnknownKey, swept));
    if (swept.more) break;
  }
  return swept;
}

Result<bool> SpoolWriter::LearnKeys() {
  ASSIGN_OR_RETURN(const auto unknown, Watched(index_.WithoutKey(kPage)));
  for (const UploadId& id : unknown) {
    ASSIGN_OR_RETURN(const Bytes bytes, Watched(index_.Envelope(id)));
    // An envelope that cannot be read is not for this sweep to judge: no key has no bytes.
    const auto envelope = ParseEnvelope(bytes);
    RETURN_IF_ERROR(Watched(index_.SetKey(id, envelope ? envelope->header.subject.key_id.view() : ByteView())));
  }
  return unknown.size() == kPage;
}

Result<SpoolWriter::Swept> SpoolWriter::DropExpired() {
  Swept swept;
  const WallTime now = clock_.Now();
  ASSIGN_OR_RETURN(const auto expired, Watched(index_.Expired(now, kPage)));
  RETURN_IF_ERROR(DropAll(expired, Code::kExpired, swept));
  if (swept.more) return swept;
  ASSIGN_OR_RETURN(const auto abandoned,
                   Watched(index_.Untouched(now + -options_.abandon_after, kPage - swept.dropped)));
  RETURN_IF_ERROR(DropAll(abandoned, Code::kTimeout, swept));
  return swept;
}

Status SpoolWriter::MakeRoom(const SpoolQuota::Room& room, const DeviceId& device) {
  for (uint64_t freed = 0; freed < room.dead_bytes;) {
    ASSIGN_OR_RETURN(const auto oldest, Watched(index_.dead_letters().OldestKept()));
    if (!oldest) break;
    RETURN_IF_ERROR(FreeKept(*oldest));
    freed += oldest->ciphertext_size;
  }
  const auto give_way = [this](const std::optional<DeviceId>& of, uint64_t bytes) -> Status {
    for (uint64_t freed = 0; freed < bytes;) {
      ASSIGN_OR_RETURN(const auto oldest, Watched(index_.OldestTelemetry(of)));
      if (!oldest) break;
      RETURN_IF_ERROR(DropOne(*oldest, Code::kGaveWay));
      freed += oldest->ciphertext_size;
    }
    return {};
  };
  RETURN_IF_ERROR(give_way(device, room.own_telemetry));
  return give_way(std::nullopt, room.telemetry);
}

// ---- Dead letters

Status SpoolWriter::Bury(const SpooledUpload& upload, Code reason, uint64_t bytes_lost) {
  // Unsynced bytes are not worth keeping, nor is what its sender still has.
  const bool keep = upload.state == UploadState::kComplete && !completed_.contains(upload.id) &&
                    upload.ciphertext_size <= options_.MaxDeadBytes();
  RETURN_IF_ERROR(CountOut(upload));
  RETURN_IF_ERROR(Watched(index_.dead_letters().Bury(
      {.id = upload.id, .reason = reason, .when = clock_.Now(), .kept = keep, .bytes_lost = bytes_lost})));
  if (keep) {
    account_.dead_bytes += upload.ciphertext_size;
  } else if (upload.in_index) {
    RETURN_IF_ERROR(Watched(index_.RemoveChunks(upload.id)));
  } else {
    freed_.insert(upload.id);
  }
  ++account_.dead_letters;
  ++account_.of(upload.kind).dropped[reason];
  LogWarning("upload.set_aside", {{"id", upload.id.hex()},
                                  {"kind", KindName(upload.kind)},
                                  {"reason", Name(reason)},
                                  {"bytes", upload.ciphertext_size},
                                  {"bytes_lost", bytes_lost},
                                  {"payload_kept", keep}});
  return BoundDeadLetters();
}

Status SpoolWriter::BoundDeadLetters() {
  while (account_.dead_bytes > options_.MaxDeadBytes()) {
    ASSIGN_OR_RETURN(const auto oldest, Watched(index_.dead_letters().OldestKept()));
    if (!oldest) break;
    RETURN_IF_ERROR(FreeKept(*oldest));
  }
  while (account_.dead_letters > kDeadLetters) {
    ASSIGN_OR_RETURN(const auto oldest, Watched(index_.dead_letters().Oldest(1)));
    if (oldest.empty()) break;
    RETURN_IF_ERROR(ForgetLetter(oldest.front()));
  }
  return {};
}

Status SpoolWriter::FreeKept(const SpooledUpload& kept) {
  RETURN_IF_ERROR(Watched(index_.dead_letters().Empty(kept)));
  if (!kept.in_index) freed_.insert(kept.id);
  account_.dead_bytes -= kept.ciphertext_size;
  return {};
}

Status SpoolWriter::ForgetLetter(const DeadLetter& letter) {
  ASSIGN_OR_RETURN(const auto kept, Watched(index_.dead_letters().FindKept(letter.id)));
  if (kept) RETURN_IF_ERROR(FreeKept(*kept));
  --account_.dead_letters;
  return Watched(index_.dead_letters().Remove(letter.id));
}

Result<uint64_t> SpoolWriter::LostBytesOf(const SpooledUpload& upload) {
  return LostBytes(upload, [&](uint32_t chunk) {
    return upload.in_index ? index_.GetChunk(upload.id, chunk)
                           : files_.Read(upload.id, upload.ChunkOffset(chunk), upload.ChunkBytes(chunk));
  });
}

Status SpoolWriter::Requeue(const UploadId& id) {
  ASSIGN_OR_RETURN(const auto letter, Watched(index_.dead_letters().Find(id)));
  if (!letter) return Fail(Code::kUnknownUpload, "there is no dead letter " + id.hex());
  ASSIGN_OR_RETURN(const auto kept, Watched(index_.dead_letters().FindKept(id)));
  if (!kept) {
    return Fail(Code::kConflict, "the payload of dead letter " + id.hex() +
                                     " is not here any more, its room was needed; only its line in the list is left");
  }
  ASSIGN_OR_RETURN(const uint64_t lost, LostBytesOf(*kept));
  if (lost > 0) {
    return Fail(Code::kCorrupt, "dead letter " + id.hex() + " has lost " + std::to_string(lost) + " of " +
                                    std::to_string(kept->ciphertext_size) + " bytes, so nobody above would take it");
  }
  ASSIGN_OR_RETURN(const bool delivered, Watched(index_.WasDelivered(*kept)));
  if (delivered) return Fail(Code::kDuplicate, "the contribution of dead letter " + id.hex() + " was delivered since");
  if (kept->kind == UploadKind::kUpdate) {
    ASSIGN_OR_RETURN(const auto rival, Watched(index_.FindContribution(*kept)));
    if (rival && rival->state == UploadState::kComplete)
      return Fail(Code::kDuplicate, "the contribution of dead letter " + id.hex() + " is here as " + rival->id.hex());
    if (rival) RETURN_IF_ERROR(DropOne(*rival, Code::kDuplicate));
  }
  RETURN_IF_ERROR(Watched(index_.dead_letters().Unbury(*kept, clock_.Now())));
  --account_.dead_letters;
  account_.dead_bytes -= kept->ciphertext_size;
  --account_.of(kept->kind).dropped[letter->reason];
  LogInfo("upload.requeued", {{"id", id.hex()}, {"reason", Name(letter->reason)}});
  return CountIn(*kept);
}

Result<uint64_t> SpoolWriter::Purge(const UploadId& id) {
  ASSIGN_OR_RETURN(const auto letter, Watched(index_.dead_letters().Find(id)));
  if (!letter) return Fail(Code::kUnknownUpload, "there is no dead letter " + id.hex());
  RETURN_IF_ERROR(ForgetLetter(*letter));
  return 1;
}

Result<SpoolWriter::Swept> SpoolWriter::PurgeAll() {
  ASSIGN_OR_RETURN(const auto letters, Watched(index_.dead_letters().Oldest(kPage)));
  for (const DeadLetter& letter : letters) RETURN_IF_ERROR(ForgetLetter(letter));
  return Swept{letters.size(), letters.size() == kPage};
}

// ---- Tending

Status SpoolWriter::Probe() {
  quota_.LookAtDisk(true);
  account_.disk = quota_.disk();
  RETURN_IF_ERROR(MeasureMore());
  if (index_trouble_) {
    probed_ = true;
    RETURN_IF_ERROR(Watched(index_.Touch(clock_.Now())));
  }
  if (payload_trouble_) {
    if (const Status probed = files_.Probe(); !probed) {
      payload_trouble_ = probed.error();
      return probed;
    }
    payload_trouble_.reset();
  }
  const uint64_t ample = 2 * (options_.Reserve() + ballast_.bytes());
  if (!index_trouble_ && ballast_.wanted() && quota_.disk().free_bytes > ample && quota_.DiskHasRoom()) {
    if (const Status made = ballast_.Make(); !made) LogFailure(LogLevel::kWarning, "spool.no_ballast", made.error());
  }
  return quota_.DiskHasRoom();
}

}  // namespace tributary

#include "protocol/spool/departures.h"

#include <algorithm>
#include <optional>

#include "protocol/base/log.h"
#include "protocol/envelope/remembered_versions.h"
#include "protocol/spool/payload_digest.h"

namespace tributary {
namespace {

// A sender that comes back after a long outage is told why its upload was dropped. A line has about 200 bytes.
constexpr uint64_t kDeadLetters = 10'000;
// Uploads that leave in one transaction: a few megabytes of the index's log.
constexpr size_t kLeaveAtOnce = 500;

}  // namespace

// ---- Leaving

Status Departures::TakeOut(const SpooledUpload& upload) {
  RETURN_IF_ERROR(state_.CountOut(upload));
  RETURN_IF_ERROR(state_.index.uploads().Remove(upload.id));
  if (!upload.in_index) state_.freed.insert(upload.id);
  return {};
}

Status Departures::Delivered(const UploadId& id) {
  ASSIGN_OR_RETURN(const auto upload, state_.index.uploads().Find(id));
  if (!upload || upload->state != UploadState::kComplete)
    return Fail(Code::kUnknownUpload, "upload {} is not in custody", id.hex());
  RETURN_IF_ERROR(TakeOut(*upload));
  ++state_.account.of(upload->kind).delivered;
  return state_.index.delivered().Remember(*upload);
}

Status Departures::Drop(const UploadId& id, Code reason) {
  ASSIGN_OR_RETURN(const auto upload, state_.index.uploads().Find(id));
  if (!upload) return UnknownUpload(id);
  if (reason == Code::kStaleVersion) return DropOne(*upload, reason);
  uint64_t lost = 0;
  if (reason == Code::kCorrupt && upload->state == UploadState::kComplete) {
    ASSIGN_OR_RETURN(lost, LostBytesOf(*upload));
  }
  return Bury(*upload, reason, lost);
}

Status Departures::DropOne(const SpooledUpload& upload, Code reason) {
  RETURN_IF_ERROR(TakeOut(upload));
  ++state_.account.of(upload.kind).dropped[reason];
  LogInfo("upload.dropped", {{"id", upload.id.hex()}, {"kind", KindName(upload.kind)}, {"reason", Name(reason)}});
  return {};
}

Status Departures::DropAll(const std::vector<SpooledUpload>& uploads, Code reason, Swept& swept) {
  for (const SpooledUpload& upload : uploads) RETURN_IF_ERROR(DropOne(upload, reason));
  swept.dropped += uploads.size();
  swept.more = swept.dropped >= kLeaveAtOnce;
  return {};
}

Result<Departures::Swept> Departures::DropStale(const TaskId& task, const std::vector<ModelVersion>& accepted) {
  Swept swept;
  const bool goes_on = !accepted.empty();  // the task is published
  const ModelVersion newest = goes_on ? *std::ranges::max_element(accepted) : ModelVersion{};
  ASSIGN_OR_RETURN(const auto versions, state_.index.delivered().BaseVersions(task));
  for (const ModelVersion version : versions) {
    if ((goes_on && version > newest) || std::ranges::find(accepted, version) != accepted.end()) continue;
    ASSIGN_OR_RETURN(const auto uploads, state_.index.uploads().UpdatesOf(task, version, kLeaveAtOnce - swept.dropped));
    RETURN_IF_ERROR(DropAll(uploads, Code::kStaleVersion, swept));
    if (swept.more) break;
    if (goes_on && Number(version) + kRememberedVersions >= Number(newest)) continue;
    RETURN_IF_ERROR(state_.index.delivered().Forget(task, version));
  }
  return swept;
}

Result<Departures::Swept> Departures::DropSealedTo(const std::vector<KeyId>& keys) {
  Swept swept;
  if (keys.empty()) return swept;
  ASSIGN_OR_RETURN(swept.more, LearnKeys());
  if (swept.more) return swept;
  for (const KeyId& key : keys) {
    ASSIGN_OR_RETURN(const auto uploads, state_.index.uploads().SealedTo(key, kLeaveAtOnce - swept.dropped));
    RETURN_IF_ERROR(DropAll(uploads, Code::kUnknownKey, swept));
    if (swept.more) break;
  }
  return swept;
}

Result<bool> Departures::LearnKeys() {
  ASSIGN_OR_RETURN(const auto unknown, state_.index.uploads().WithoutKey(kLeaveAtOnce));
  for (const UploadId& id : unknown) {
    ASSIGN_OR_RETURN(const Bytes bytes, state_.index.uploads().Envelope(id));
    // This sweep does not judge an envelope that cannot be read: it gets no bytes, which are no key's.
    const auto envelope = ParseEnvelope(bytes);
    RETURN_IF_ERROR(state_.index.uploads().SetKey(id, envelope ? envelope->header.subject.key_id.view() : ByteView()));
  }
  return unknown.size() == kLeaveAtOnce;
}

Result<Departures::Swept> Departures::DropErased(const TaskId& task) {
  Swept swept;
  ASSIGN_OR_RETURN(const auto kept, state_.index.dead_letters().KeptWorkOf(task, kLeaveAtOnce));
  for (const SpooledUpload& letter : kept) RETURN_IF_ERROR(FreeKept(letter));
  ASSIGN_OR_RETURN(const auto uploads, state_.index.uploads().WorkOf(task, kLeaveAtOnce));
  RETURN_IF_ERROR(DropAll(uploads, Code::kErased, swept));
  swept.more = swept.more || kept.size() == kLeaveAtOnce;
  return swept;
}

Result<Departures::Swept> Departures::DropExpired() {
  Swept swept;
  const WallTime now = state_.clock.Now();
  ASSIGN_OR_RETURN(const auto expired, state_.index.uploads().Expired(now, kLeaveAtOnce));
  RETURN_IF_ERROR(DropAll(expired, Code::kExpired, swept));
  if (swept.more) return swept;
  ASSIGN_OR_RETURN(const auto abandoned,
                   state_.index.uploads().Untouched(now + -state_.options.abandon_after, kLeaveAtOnce - swept.dropped));
  RETURN_IF_ERROR(DropAll(abandoned, Code::kTimeout, swept));
  return swept;
}

Result<Departures::Swept> Departures::DropRevoked(const TrustAnchor& anchor, std::optional<UploadId>& last) {
  Swept swept;
  ASSIGN_OR_RETURN(const auto ids, state_.index.uploads().IdsAfter(last, kLeaveAtOnce));
  for (const UploadId& id : ids) {
    last = id;
    ASSIGN_OR_RETURN(const Bytes bytes, state_.index.uploads().Envelope(id));
    const auto envelope = ParseEnvelope(bytes);
    if (!envelope) continue;  // whoever opens it says so
    const auto author = anchor.Verify(envelope->chain, state_.clock.Now());
    if (author || author.error().code != Code::kRevokedCertificate) continue;
    ASSIGN_OR_RETURN(const auto upload, state_.index.uploads().Find(id));
    if (upload) RETURN_IF_ERROR(DropAll({*upload}, Code::kRevokedCertificate, swept));
  }
  swept.more = ids.size() == kLeaveAtOnce;
  return swept;
}

Result<Departures::Swept> Departures::DropPartial(const std::optional<DeviceId>& device) {
  Swept swept;
  ASSIGN_OR_RETURN(const auto uploads, state_.index.uploads().Partial(device, kLeaveAtOnce));
  RETURN_IF_ERROR(DropAll(uploads, Code::kTimeout, swept));
  return swept;
}

Status Departures::MakeRoom(const SpoolQuota::Room& room, const DeviceId& device) {
  for (uint64_t freed = 0; freed < room.dead_bytes;) {
    ASSIGN_OR_RETURN(const auto oldest, state_.index.dead_letters().OldestKept());
    if (!oldest) break;
    RETURN_IF_ERROR(FreeKept(*oldest));
    freed += oldest->ciphertext_size;
  }
  const auto give_way = [this](const std::optional<DeviceId>& of, uint64_t bytes) -> Status {
    for (uint64_t freed = 0; freed < bytes;) {
      ASSIGN_OR_RETURN(const auto oldest, state_.index.uploads().OldestTelemetry(of));
      if (!oldest) break;
      RETURN_IF_ERROR(DropOne(*oldest, Code::kGaveWay));
      freed += oldest->HeldBytes();
    }
    return {};
  };
  RETURN_IF_ERROR(give_way(device, room.own_telemetry));
  return give_way(std::nullopt, room.telemetry);
}

// ---- Dead letters

Status Departures::Bury(const SpooledUpload& upload, Code reason, uint64_t bytes_lost) {
  // Unsynced bytes are not worth keeping, and a partial upload is still at its sender.
  const bool keep = upload.state == UploadState::kComplete && !state_.completed.contains(upload.id) &&
                    upload.ciphertext_size <= state_.options.MaxDeadBytes();
  RETURN_IF_ERROR(state_.CountOut(upload));
  RETURN_IF_ERROR(state_.index.dead_letters().Bury(
      {.id = upload.id, .reason = reason, .when = state_.clock.Now(), .kept = keep, .bytes_lost = bytes_lost}));
  if (keep) {
    state_.account.dead_bytes += upload.ciphertext_size;
  } else if (upload.in_index) {
    RETURN_IF_ERROR(state_.index.uploads().RemoveChunks(upload.id));
  } else {
    state_.freed.insert(upload.id);
  }
  ++state_.account.dead_letters;
  ++state_.account.of(upload.kind).dropped[reason];
  LogWarning("upload.set_aside", {{"id", upload.id.hex()},
                                  {"kind", KindName(upload.kind)},
                                  {"reason", Name(reason)},
                                  {"bytes", upload.ciphertext_size},
                                  {"bytes_lost", bytes_lost},
                                  {"payload_kept", keep}});
  return BoundDeadLetters();
}

Status Departures::BoundDeadLetters() {
  while (state_.account.dead_bytes > state_.options.MaxDeadBytes()) {
    ASSIGN_OR_RETURN(const auto oldest, state_.index.dead_letters().OldestKept());
    if (!oldest) break;
    RETURN_IF_ERROR(FreeKept(*oldest));
  }
  while (state_.account.dead_letters > kDeadLetters) {
    ASSIGN_OR_RETURN(const auto oldest, state_.index.dead_letters().Oldest(1));
    if (oldest.empty()) break;
    RETURN_IF_ERROR(ForgetLetter(oldest.front()));
  }
  return {};
}

Status Departures::FreeKept(const SpooledUpload& kept) {
  RETURN_IF_ERROR(state_.index.dead_letters().Empty(kept));
  if (!kept.in_index) state_.freed.insert(kept.id);
  state_.account.dead_bytes -= kept.ciphertext_size;
  return {};
}

Status Departures::ForgetLetter(const DeadLetter& letter) {
  ASSIGN_OR_RETURN(const auto kept, state_.index.dead_letters().FindKept(letter.id));
  if (kept) RETURN_IF_ERROR(FreeKept(*kept));
  --state_.account.dead_letters;
  return state_.index.dead_letters().Remove(letter.id);
}

Result<uint64_t> Departures::LostBytesOf(const SpooledUpload& upload) {
  return LostBytes(upload, [&](uint32_t chunk) {
    if (!upload.in_index) return state_.files.Read(upload.id, upload.ChunkOffset(chunk), upload.ChunkBytes(chunk));
    auto bytes = state_.index.uploads().GetChunk(upload.id, chunk);
    if (!bytes) state_.index.ForgetError();  // the damage is this upload's alone
    return bytes;
  });
}

Status Departures::Requeue(const UploadId& id) {
  ASSIGN_OR_RETURN(const DeadLetter letter, state_.index.dead_letters().Get(id));
  ASSIGN_OR_RETURN(const auto kept, state_.index.dead_letters().FindKept(id));
  if (!kept) {
    return Fail(Code::kConflict,
                "the payload of dead letter {} is not here any more, its room was needed; only its line in the list is "
                "left",
                id.hex());
  }
  ASSIGN_OR_RETURN(const uint64_t lost, LostBytesOf(*kept));
  if (lost > 0) {
    return Fail(Code::kCorrupt, "dead letter {} has lost {} of {} bytes, so nobody above would take it", id.hex(), lost,
                kept->ciphertext_size);
  }
  ASSIGN_OR_RETURN(const bool delivered, state_.index.delivered().Contains(*kept));
  if (delivered) return Fail(Code::kDuplicate, "the contribution of dead letter {} was delivered since", id.hex());
  if (kept->kind == UploadKind::kUpdate) {
    ASSIGN_OR_RETURN(const auto rival, state_.index.uploads().FindContribution(*kept));
    if (rival && rival->state == UploadState::kComplete)
      return Fail(Code::kDuplicate, "the contribution of dead letter {} is here as {}", id.hex(), rival->id.hex());
    if (rival) RETURN_IF_ERROR(DropOne(*rival, Code::kDuplicate));
  }
  RETURN_IF_ERROR(state_.index.dead_letters().Unbury(*kept, state_.clock.Now()));
  --state_.account.dead_letters;
  state_.account.dead_bytes -= kept->ciphertext_size;
  --state_.account.of(kept->kind).dropped[letter.reason];
  LogInfo("upload.requeued", {{"id", id.hex()}, {"reason", Name(letter.reason)}});
  return state_.CountIn(*kept);
}

Result<uint64_t> Departures::Purge(const UploadId& id) {
  ASSIGN_OR_RETURN(const DeadLetter letter, state_.index.dead_letters().Get(id));
  RETURN_IF_ERROR(ForgetLetter(letter));
  return 1;
}

Result<Departures::Swept> Departures::PurgeAll() {
  ASSIGN_OR_RETURN(const auto letters, state_.index.dead_letters().Oldest(kLeaveAtOnce));
  for (const DeadLetter& letter : letters) RETURN_IF_ERROR(ForgetLetter(letter));
  return Swept{letters.size(), letters.size() == kLeaveAtOnce};
}

}  // namespace tributary

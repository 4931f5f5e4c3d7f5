#include "protocol/spool/spool_state.h"

namespace tributary {

SpoolState::SpoolState(const SpoolOptions& with, SpoolIndex& rows, PayloadFiles& payloads, FileSystem& disk,
                       const Clock& time)
    : options(with),
      index(rows),
      files(payloads),
      clock(time),
      quota(options, disk, clock),
      ballast(options.folder / "ballast", options.BallastBytes(), disk) {}

Status SpoolState::CountIn(const SpooledUpload& upload) { return Count(upload, 1); }

Status SpoolState::CountOut(const SpooledUpload& upload) {
  partials.erase(upload.id);
  completed.erase(upload.id);
  return Count(upload, uint64_t{0} - 1);
}

// Unsigned numbers wrap: what is multiplied by 2^64 - 1 and added is taken away.
Status SpoolState::Count(const SpooledUpload& upload, uint64_t sign) {
  if (upload.state == UploadState::kComplete) {
    account.of(upload.kind).spooled += sign;
    account.waiting_of(upload.priority) += sign;
  } else {
    account.of(upload.kind).in_flight += sign;
    account.unwritten += sign * (upload.HeldBytes() - upload.StoredBytes());
  }
  return CountHeld(upload, sign, sign * upload.HeldBytes());
}

Status SpoolState::CountHeld(const SpooledUpload& upload, uint64_t uploads, uint64_t bytes) {
  account.bytes += bytes;
  account.bytes_of(upload.kind) += bytes;
  ASSIGN_OR_RETURN(auto holding, index.account().Held(upload.device));
  account.devices -= uint64_t{holding.uploads > 0};
  holding.uploads += uploads;
  account.devices += uint64_t{holding.uploads > 0};
  holding.bytes += bytes;
  if (upload.kind == UploadKind::kDeviceState) holding.telemetry += bytes;
  return index.account().Hold(upload.device, holding);
}

Status SpoolState::CountProgress(const SpooledUpload& before, const SpooledUpload& now) {
  account.unwritten += (now.HeldBytes() - now.StoredBytes()) - (before.HeldBytes() - before.StoredBytes());
  if (now.HeldBytes() == before.HeldBytes()) return {};
  return CountHeld(now, 0, now.HeldBytes() - before.HeldBytes());
}

void SpoolState::CountRefused(UploadKind kind, Code reason) {
  if (IsTransient(reason)) return;
  ++account.of(kind).offered;
  ++account.of(kind).refused[reason];
}

Status SpoolState::StartAgain(SpooledUpload upload) {
  SpooledUpload before = upload;
  upload.state = UploadState::kPartial;
  upload.next_chunk = 0;
  RETURN_IF_ERROR(CountProgress(before, upload));
  partials.erase(upload.id);
  if (upload.in_index) {
    RETURN_IF_ERROR(index.uploads().RemoveChunks(upload.id));
  } else {
    freed.insert(upload.id);
  }
  return index.uploads().SetProgress(upload, clock.Now());
}

}  // namespace tributary

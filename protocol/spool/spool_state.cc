#include "protocol/spool/spool_state.h"

namespace tributary {
namespace {

uint64_t TelemetryBytes(const SpooledUpload& upload) {
  return upload.kind == UploadKind::kDeviceState ? upload.ciphertext_size : 0;
}

}  // namespace

SpoolState::SpoolState(const SpoolOptions& with, SpoolIndex& rows, PayloadFiles& payloads, FileSystem& disk,
                       const Clock& time)
    : options(with),
      index(rows),
      files(payloads),
      clock(time),
      quota(options, disk, clock),
      ballast(options.folder / "ballast", options.BallastBytes(), disk) {}

Status SpoolState::CountIn(const SpooledUpload& upload) {
  KindAccount& kind = account.of(upload.kind);
  if (upload.state == UploadState::kComplete) {
    ++kind.spooled;
    ++account.waiting_of(upload.priority);
  } else {
    ++kind.in_flight;
    account.unwritten += upload.ciphertext_size - upload.StoredBytes();
  }
  account.CountBytes(upload.kind, upload.ciphertext_size, 1);
  ASSIGN_OR_RETURN(auto holding, index.account().Held(upload.device));
  if (holding.uploads++ == 0) ++account.devices;
  holding.bytes += upload.ciphertext_size;
  holding.telemetry += TelemetryBytes(upload);
  return index.account().Hold(upload.device, holding);
}

Status SpoolState::CountOut(const SpooledUpload& upload) {
  partials.erase(upload.id);
  completed.erase(upload.id);
  KindAccount& kind = account.of(upload.kind);
  if (upload.state == UploadState::kComplete) {
    --kind.spooled;
    --account.waiting_of(upload.priority);
  } else {
    --kind.in_flight;
    account.unwritten -= upload.ciphertext_size - upload.StoredBytes();
  }
  account.CountBytes(upload.kind, upload.ciphertext_size, -1);
  ASSIGN_OR_RETURN(auto holding, index.account().Held(upload.device));
  if (--holding.uploads == 0) --account.devices;
  holding.bytes -= upload.ciphertext_size;
  holding.telemetry -= TelemetryBytes(upload);
  return index.account().Hold(upload.device, holding);
}

void SpoolState::CountRefused(UploadKind kind, Code reason) {
  if (IsTransient(reason)) return;
  ++account.of(kind).offered;
  ++account.of(kind).refused[reason];
}

Status SpoolState::StartAgain(SpooledUpload upload) {
  account.unwritten += upload.StoredBytes();
  upload.state = UploadState::kPartial;
  upload.next_chunk = 0;
  partials.erase(upload.id);
  if (upload.in_index) {
    RETURN_IF_ERROR(index.uploads().RemoveChunks(upload.id));
  } else {
    freed.insert(upload.id);
  }
  return index.uploads().SetProgress(upload, clock.Now());
}

}  // namespace tributary

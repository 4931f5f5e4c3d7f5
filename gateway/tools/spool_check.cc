#include "gateway/tools/spool_check.h"

#include "protocol/spool/payload_digest.h"

namespace tributary {
namespace {

// Uploads at a time.
constexpr size_t kPage = 256;

std::string WhatIsWrong(const SpooledUpload& upload, uint64_t lost) {
  if (lost == upload.ciphertext_size) return "the payload is gone, or its digest is wrong";
  return "the payload's last " + std::to_string(lost) + " bytes cannot be read";
}

Status CheckOne(SpoolReader& reader, const SpooledUpload& upload, SpoolCheck& check) {
  ASSIGN_OR_RETURN(const uint64_t lost,
                   LostBytes(upload, [&](uint32_t chunk) { return reader.ReadChunk(upload.id, chunk); }));
  if (lost > 0) {
    ASSIGN_OR_RETURN(const auto still_here, reader.Find(upload.id));
    if (!still_here) return {};  // it was delivered or dropped while it was being read
    check.damaged.push_back({upload, lost, WhatIsWrong(upload, lost)});
  }
  ++check.uploads;
  check.bytes += upload.ciphertext_size;
  return {};
}

}  // namespace

uint64_t SpoolCheck::BytesLost() const {
  uint64_t sum = 0;
  for (const DamagedUpload& each : damaged) sum += each.bytes_lost;
  return sum;
}

Result<SpoolCheck> CheckSpool(const Path& folder, FileSystem& files) {
  ASSIGN_OR_RETURN(const auto reader, SpoolReader::Open(folder, files));
  SpoolCheck check;
  ASSIGN_OR_RETURN(check.index_problems, reader->CheckIndex());
  std::optional<UploadId> last;
  for (size_t found = kPage; found == kPage;) {
    ASSIGN_OR_RETURN(const auto page, reader->PendingAfter(last, kPage));
    found = page.size();
    if (found > 0) last = page.back().id;
    for (const SpooledUpload& upload : page) RETURN_IF_ERROR(CheckOne(*reader, upload, check));
  }
  ASSIGN_OR_RETURN(check.orphans, reader->Orphans());
  ASSIGN_OR_RETURN(check.account, reader->Account());
  for (const KindAccount& kind : check.account.kinds) check.partial += kind.in_flight;
  return check;
}

}  // namespace tributary

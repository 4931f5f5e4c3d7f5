// What Open finds: payload files are compared with the rows that name them, by a merge of two sorted lists.

#include <algorithm>
#include <set>

#include "protocol/base/log.h"
#include "protocol/spool/spool_writer.h"

namespace tributary {
namespace {

// Rows at a time.
constexpr size_t kPage = 1'000;

}  // namespace

Status SpoolWriter::Recover() {
  RETURN_IF_ERROR(ballast_.Look());
  ASSIGN_OR_RETURN(account_, index_.account().Load());
  ASSIGN_OR_RETURN(const auto dead, index_.dead_letters().Count());
  account_.dead_letters = dead.letters;
  account_.dead_bytes = dead.bytes;
  saved_ = account_;
  ASSIGN_OR_RETURN(const auto names, files_.List());
  std::vector<std::string> orphans;
  RETURN_IF_ERROR(Begin(true));
  ASSIGN_OR_RETURN(const uint64_t files, RecoverUploads(names, orphans));
  RETURN_IF_ERROR(RecoverDeadLetters(names, orphans));
  RETURN_IF_ERROR(Commit());
  for (const std::string& name : orphans) RETURN_IF_ERROR(files_.RemoveOrphan(name));
  LogInfo("spool.opened", {{"folder", options_.folder.string()},
                           {"waiting", account_.Spooled()},
                           {"bytes", account_.bytes},
                           {"files", files},
                           {"dead_letters", account_.dead_letters},
                           {"orphans_removed", orphans.size()}});
  return {};
}

Result<uint64_t> SpoolWriter::RecoverUploads(const std::vector<std::string>& names, std::vector<std::string>& orphans) {
  uint64_t files = 0, measured = 0;
  auto name = names.begin();
  std::optional<UploadId> last;
  for (size_t found = kPage; found == kPage;) {
    ASSIGN_OR_RETURN(const auto page, index_.FilePage(last, kPage));
    found = page.size();
    files += found;
    if (found > 0) last = page.back().id;
    for (const auto& row : page) {
      const std::string wanted = PayloadFiles::NameOf(row.id);
      while (name != names.end() && *name < wanted) orphans.push_back(*name++);
      const bool there = name != names.end() && *name == wanted;
      if (there) ++name;
      if (there && IsCustody(row) && measured >= options_.measured_at_open) {
        unmeasured_ = true;
        continue;
      }
      RETURN_IF_ERROR(RecoverOne(row, there));
      if (unmeasured_) continue;
      ++measured;
      measured_ = row.id;
    }
  }
  orphans.insert(orphans.end(), name, names.end());
  return files;
}

bool SpoolWriter::IsCustody(const SpoolIndex::PayloadFile& row) const {
  return row.state == UploadState::kComplete && options_.mode == SpoolMode::kDurable;
}

Status SpoolWriter::MeasureMore() {
  if (!unmeasured_) return {};
  ASSIGN_OR_RETURN(const auto page, Watched(index_.FilePage(measured_, kPage)));
  for (const auto& row : page) {
    // Partial ones were measured, or have come since.
    if (IsCustody(row) && !completed_.contains(row.id)) RETURN_IF_ERROR(RecoverOne(row, true));
    measured_ = row.id;
  }
  unmeasured_ = page.size() == kPage;
  return {};
}

Status SpoolWriter::RecoverOne(const SpoolIndex::PayloadFile& row, bool there) {
  uint64_t size = 0;
  if (there) {
    ASSIGN_OR_RETURN(size, files_.Size(row.id));  // 0: it went since
  }
  if (IsCustody(row) && size >= row.ciphertext_size) return {};
  ASSIGN_OR_RETURN(auto upload, Watched(index_.Find(row.id)));
  if (!upload) return Fail(Code::kCorrupt, "the spool's index lists upload " + row.id.hex() + " and does not find it");
  return RecoverDamaged(std::move(*upload), size);
}

Status SpoolWriter::RecoverDamaged(SpooledUpload upload, uint64_t size) {
  const SpooledUpload before = upload;
  if (upload.state == UploadState::kComplete && options_.mode == SpoolMode::kStaging) {
    // Nobody synced it, so its bytes may not be what its digest once was compared with. Its sender still has custody
    // and offers it again; the last chunk then brings the comparison with it.
    --account_.of(upload.kind).spooled;
    --account_.waiting_of(upload.priority);
    ++account_.of(upload.kind).in_flight;
    upload.state = UploadState::kPartial;
    upload.next_chunk = upload.chunk_count - 1;
    account_.unwritten += upload.ciphertext_size - upload.StoredBytes();
  }
  if (const uint64_t needed = upload.StoredBytes(); size < needed) {
    const bool custody = upload.state == UploadState::kComplete;
    Log(custody ? LogLevel::kError : LogLevel::kWarning, custody ? "spool.payload_lost" : "spool.progress_lost",
        {{"id", upload.id.hex()}, {"device", upload.device.text()}, {"bytes", needed}, {"bytes_lost", needed - size}});
    if (custody) return Bury(upload, Code::kCorrupt, needed - size);
    upload.next_chunk = static_cast<uint32_t>(size / upload.ChunkOffset(1));
    account_.unwritten += needed - upload.StoredBytes();
  }
  if (upload == before) return {};
  return Watched(index_.SetProgress(upload, clock_.Now()));
}

// Takes the files of dead letters from the orphans; a dead letter whose file is gone has only its line left.
Status SpoolWriter::RecoverDeadLetters(const std::vector<std::string>& names, std::vector<std::string>& orphans) {
  std::optional<UploadId> last;
  std::vector<UploadId> gone;
  for (size_t found = kPage; found == kPage;) {
    ASSIGN_OR_RETURN(const auto page, index_.dead_letters().KeptFiles(last, kPage));
    found = page.size();
    if (found > 0) last = page.back();
    std::set<std::string> kept;
    for (const UploadId& id : page) {
      const std::string name = PayloadFiles::NameOf(id);
      if (!std::ranges::binary_search(names, name)) gone.push_back(id);
      kept.insert(name);
    }
    std::erase_if(orphans, [&](const std::string& name) { return kept.contains(name); });
  }
  for (const UploadId& id : gone) {
    ASSIGN_OR_RETURN(const auto kept, index_.dead_letters().FindKept(id));
    if (kept) RETURN_IF_ERROR(FreeKept(*kept));
  }
  return {};
}

}  // namespace tributary

#include "protocol/spool/recovery.h"

#include <algorithm>
#include <set>

#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr size_t kRowsAtATime = 1'000;

}  // namespace

Status Recovery::Recover(Batch& batch) {
  RETURN_IF_ERROR(state_.ballast.Look());
  ASSIGN_OR_RETURN(state_.account, state_.index.account().Load());
  state_.saved = state_.account;
  ASSIGN_OR_RETURN(const auto names, state_.files.List());
  std::vector<std::string> orphans;
  RETURN_IF_ERROR(batch.Begin(true));
  ASSIGN_OR_RETURN(const uint64_t files, RecoverUploads(names, orphans));
  RETURN_IF_ERROR(RecoverDeadLetters(names, orphans));
  RETURN_IF_ERROR(batch.Commit());
  for (const std::string& name : orphans) RETURN_IF_ERROR(state_.files.RemoveOrphan(name));
  LogInfo("spool.opened", {{"folder", state_.options.folder.string()},
                           {"waiting", state_.account.Spooled()},
                           {"bytes", state_.account.bytes},
                           {"files", files},
                           {"dead_letters", state_.account.dead_letters},
                           {"orphans_removed", orphans.size()}});
  return {};
}

Result<uint64_t> Recovery::RecoverUploads(const std::vector<std::string>& names, std::vector<std::string>& orphans) {
  uint64_t files = 0, measured = 0;
  auto name = names.begin();
  std::optional<UploadId> last;
  for (size_t found = kRowsAtATime; found == kRowsAtATime;) {
    ASSIGN_OR_RETURN(const auto page, state_.index.uploads().FilePage(last, kRowsAtATime));
    found = page.size();
    files += found;
    if (found > 0) last = page.back().id;
    for (const auto& row : page) {
      const std::string wanted = PayloadFiles::NameOf(row.id);
      while (name != names.end() && *name < wanted) orphans.push_back(*name++);
      const bool there = name != names.end() && *name == wanted;
      if (there) ++name;
      if (there && IsCustody(row) && measured >= state_.options.measured_at_open) {
        state_.measuring.unfinished = true;
        continue;
      }
      RETURN_IF_ERROR(RecoverOne(row, there));
      if (state_.measuring.unfinished) continue;
      ++measured;
      state_.measuring.measured = row.id;
    }
  }
  orphans.insert(orphans.end(), name, names.end());
  return files;
}

bool Recovery::IsCustody(const UploadTable::PayloadFile& row) const {
  return row.state == UploadState::kComplete && state_.options.TakesCustody();
}

Status Recovery::MeasureMore() {
  if (!state_.measuring.unfinished) return {};
  ASSIGN_OR_RETURN(const auto page, state_.index.uploads().FilePage(state_.measuring.measured, kRowsAtATime));
  for (const auto& row : page) {
    // Partial ones were measured, or have come since.
    if (IsCustody(row) && !state_.completed.contains(row.id)) RETURN_IF_ERROR(RecoverOne(row, true));
    state_.measuring.measured = row.id;
  }
  state_.measuring.unfinished = page.size() == kRowsAtATime;
  return {};
}

Status Recovery::RecoverOne(const UploadTable::PayloadFile& row, bool there) {
  uint64_t size = 0;
  if (there) {
    ASSIGN_OR_RETURN(size, state_.files.Size(row.id));  // 0: it went since
  }
  if (IsCustody(row) && size >= row.ciphertext_size) return {};
  ASSIGN_OR_RETURN(auto upload, state_.index.uploads().Find(row.id));
  if (!upload) return Fail(Code::kCorrupt, "the spool's index lists upload {} and does not find it", row.id.hex());
  return RecoverDamaged(std::move(*upload), size);
}

Status Recovery::RecoverDamaged(SpooledUpload upload, uint64_t size) {
  const SpooledUpload before = upload;
  if (upload.state == UploadState::kComplete && !state_.options.TakesCustody()) {
    // It was not synced, so its bytes may have changed since its digest was compared. Its sender still has custody and
    // offers it again; with the last chunk the digest is compared again.
    state_.account.BecamePartial(upload.kind, upload.priority);
    upload.state = UploadState::kPartial;
    upload.next_chunk = upload.chunk_count - 1;
    state_.account.unwritten += upload.HeldBytes() - upload.StoredBytes();
  }
  if (const uint64_t needed = upload.StoredBytes(); size < needed) {
    const bool custody = upload.state == UploadState::kComplete;
    Log(custody ? LogLevel::kError : LogLevel::kWarning, custody ? "spool.payload_lost" : "spool.progress_lost",
        {{"id", upload.id.hex()}, {"device", upload.device.text()}, {"bytes", needed}, {"bytes_lost", needed - size}});
    if (custody) return departures_.Bury(upload, Code::kCorrupt, needed - size);
    const SpooledUpload longer = upload;
    upload.next_chunk = static_cast<uint32_t>(size / upload.ChunkOffset(1));
    RETURN_IF_ERROR(state_.CountProgress(longer, upload));
  }
  if (upload == before) return {};
  return state_.index.uploads().SetProgress(upload, state_.clock.Now());
}

// The files of dead letters are no orphans. A dead letter whose file is gone has only its line left.
Status Recovery::RecoverDeadLetters(const std::vector<std::string>& names, std::vector<std::string>& orphans) {
  std::optional<UploadId> last;
  std::vector<UploadId> gone;
  for (size_t found = kRowsAtATime; found == kRowsAtATime;) {
    ASSIGN_OR_RETURN(const auto page, state_.index.dead_letters().KeptFiles(last, kRowsAtATime));
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
    ASSIGN_OR_RETURN(const auto kept, state_.index.dead_letters().FindKept(id));
    if (kept) RETURN_IF_ERROR(departures_.FreeKept(*kept));
  }
  return {};
}

Status Recovery::Probe() {
  state_.quota.LookAtDisk(true);
  state_.account.disk = state_.quota.disk();
  RETURN_IF_ERROR(MeasureMore());
  if (state_.index_trouble) {
    state_.probed_index = true;
    RETURN_IF_ERROR(state_.index.Touch(state_.clock.Now()));
  }
  if (state_.payload_trouble) {
    if (Status probed = state_.files.Probe(); !probed) {
      state_.payload_trouble = probed.error();
      return probed;
    }
    state_.payload_trouble.reset();
  }
  const uint64_t ample = 2 * (state_.options.Reserve() + state_.ballast.bytes());
  if (!state_.index_trouble && state_.ballast.wanted() && state_.quota.disk().free_bytes > ample &&
      state_.quota.DiskHasRoom()) {
    if (const Status made = state_.ballast.Make(); !made)
      LogFailure(LogLevel::kWarning, "spool.no_ballast", made.error());
  }
  return state_.quota.DiskHasRoom();
}

}  // namespace tributary

#include "protocol/spool/batch.h"

#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"

namespace tributary {

Status Batch::Begin(bool barrier) {
  barrier_ = barrier && state_.options.TakesCustody();
  sync_failed_ = false;
  state_.probed_index = false;
  state_.index.ForgetError();
  state_.quota.LookAtDisk();
  state_.account.disk = state_.quota.disk();
  account_before_ = state_.account;
  measuring_before_ = state_.measuring;
  RETURN_IF_ERROR(state_.index.SetDurable(barrier_));
  ASSIGN_OR_RETURN(auto transaction, state_.index.Begin());
  transaction_.emplace(std::move(transaction));
  for (const UploadId& id : distrusted_) {
    ASSIGN_OR_RETURN(const auto here, state_.index.uploads().Find(id));
    if (here && here->state == UploadState::kPartial) RETURN_IF_ERROR(state_.StartAgain(*here));
  }
  return {};
}

Result<std::map<UploadId, Error>> Batch::Commit() {
  std::map<UploadId, Error> lost;
  state_.digests.Wait();  // the chunks go when they are answered
  if (barrier_) RETURN_IF_ERROR(SyncCompleted(lost));
  for (const UploadId& id : state_.completed) state_.files.Close(id);
  RETURN_IF_ERROR(state_.index.account().Save(state_.saved, state_.account));
  TRIBUTARY_FAULT_POINT("spool.index.before_commit");
  RETURN_IF_ERROR(transaction_->Commit());
  TRIBUTARY_FAULT_POINT("spool.index.committed");
  transaction_.reset();
  distrusted_.clear();
  if (state_.probed_index || state_.account.kinds != account_before_.kinds) state_.index_trouble.reset();
  if (barrier_) ++state_.account.barriers;
  state_.saved = state_.account;
  for (const UploadId& id : state_.freed) {
    // A file that stays behind is an orphan that the next Open removes.
    if (auto removed = state_.files.Remove(id); !removed)
      LogFailure(LogLevel::kWarning, "spool.remove_failed", removed.error());
  }
  state_.freed.clear();
  state_.completed.clear();
  return lost;
}

Status Batch::SyncCompleted(std::map<UploadId, Error>& lost) {
  auto synced = state_.files.Sync({state_.completed.begin(), state_.completed.end()});
  sync_failed_ = synced ? !synced->empty() : state_.files.sync_lost_some();
  if (!synced) {
    state_.payload_trouble = synced.error();
    return Fail(std::move(synced).error());
  }
  lost = std::move(*synced);
  if (lost.empty() && !state_.completed.empty()) state_.payload_trouble.reset();
  for (const auto& [id, error] : lost) {
    // After a failed sync the kernel may have dropped the pages: nothing of this file can be trusted any more.
    LogFailure(LogLevel::kError, "spool.sync_failed", error, {{"id", id.hex()}});
    state_.payload_trouble = error;
    ASSIGN_OR_RETURN(const auto upload, state_.index.uploads().Find(id));
    if (!upload) return Fail(Code::kCorrupt, "the spool's index lost the completed upload {}", id.hex());
    (void)state_.files.Remove(id);
    state_.account.BecamePartial(upload->kind, upload->priority);
    RETURN_IF_ERROR(state_.StartAgain(*upload));
  }
  return {};
}

void Batch::Abort(const Error& why) {
  state_.digests.Wait();
  if (!state_.index.status()) {
    // SQLite says no more than that a write failed. A payload file's failure tells why.
    if (why.code == Code::kIo && !state_.index_trouble) {
      if (const Status probed = state_.files.Probe(); !probed) state_.payload_trouble = probed.error();
    }
    state_.index_trouble = why;
  }
  transaction_.reset();
  state_.account = account_before_;
  state_.measuring = measuring_before_;
  if (sync_failed_) distrusted_.insert(state_.completed.begin(), state_.completed.end());
  state_.freed.clear();
  state_.completed.clear();
  // Progress and digests may be ahead of the index now: both are read again when they are next needed.
  state_.partials.clear();
}

Status Batch::Health() const {
  const bool index_knows = state_.index_trouble && (state_.index_trouble->code != Code::kIo || !state_.payload_trouble);
  const std::optional<Error>& trouble = index_knows ? state_.index_trouble : state_.payload_trouble;
  if (!trouble) return state_.quota.DiskHasRoom();
  // A database file that cannot be written is, to a person, a disk that cannot be written.
  const Code code = trouble->code == Code::kPermissions ? Code::kReadOnly : trouble->code;
  return Fail(
      code,
      "the spool in {} cannot write: {}; what has custody is safe, and work goes on by itself when it can write "
      "again",
      state_.options.folder.string(), trouble->message);
}

}  // namespace tributary

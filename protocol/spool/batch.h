#pragma once

#include <map>
#include <optional>
#include <set>

#include "protocol/spool/spool_state.h"

namespace tributary {

// One transaction over the index and the payload files. Calls: Begin; any requests of Arrivals, Departures and
// Recovery; then Commit, or Abort if Begin, Commit or the index failed. One thread at a time. The state must outlive
// it.
class Batch {
 public:
  explicit Batch(SpoolState& state) : state_(state) {}

  // With `barrier` the Commit returns only when the disk has everything. A spool without custody has no barriers.
  Status Begin(bool barrier);
  // With a barrier: syncs what completed, then commits. The uploads in the answer did not reach the disk and start
  // again from chunk 0. An error means that the whole batch did not, and Abort must follow.
  Result<std::map<UploadId, Error>> Commit();
  // Undoes everything since Begin.
  void Abort(const Error& why);

  // Ok, or why the spool cannot take uploads now.
  Status Health() const;

 private:
  Status SyncCompleted(std::map<UploadId, Error>& lost);

  SpoolState& state_;
  std::optional<Transaction> transaction_;
  bool barrier_ = false;
  bool sync_failed_ = false;  // for some of those that completed
  // To go back to.
  SpoolAccount account_before_;
  SpoolState::Measuring measuring_before_;
  // A sync failed on the files of these uploads, and their rows could not be set back: the next batch does it first.
  std::set<UploadId> distrusted_;
};

}  // namespace tributary

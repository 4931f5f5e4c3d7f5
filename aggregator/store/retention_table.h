#pragma once

#include <optional>
#include <span>
#include <vector>

#include "aggregator/records/records.h"
#include "aggregator/records/slice.h"
#include "protocol/base/sql/database.h"

namespace tributary {

// The SQL of forgetting: it reads what is old enough by an index, in slices, and removes it. What may go is decided by
// whoever calls (aggregator/release/pruner.h). Several rows are written by most calls: call them in a transaction.
class RetentionTable : Tables {
 public:
  using Tables::Tables;

  // Empty: not pinned.
  Status Pin(const TaskId& task, ModelVersion version, const std::string& reason) {
    return database_.Write("UPDATE versions SET pinned = ? WHERE task = ? AND version = ?", reason, task, version);
  }

  struct Candidate {
    ModelVersion version{};
    BlobRef weights;
  };
  // Versions up to `last` whose weights are here and that are not pinned, in order.
  Result<std::vector<Candidate>> Unpinned(const TaskId& task, ModelVersion last, const Slice<ModelVersion>& slice);
  // Whether a version after `last`, or one that is pinned, has the weights of this one again by a rollback.
  Result<bool> IsRestored(const TaskId& task, ModelVersion version, ModelVersion last) {
    return database_.QueryHas(
        "SELECT 1 FROM versions WHERE task = ? AND restores = ? AND pruned = 0 AND (version > ? OR pinned <> '') "
        "LIMIT 1",
        task, version, last);
  }
  // Its weights count as removed from now on, and its blobs are noted as ones to remove.
  Status MarkPruned(const TaskId& task, const Candidate& candidate, WallTime now);

  // Blobs that were noted, and not taken off since.
  Result<std::vector<Digest>> Doomed(uint64_t most) {
    return database_.QueryAs(FirstCell<Digest>, "SELECT digest FROM doomed_blobs LIMIT ?", most);
  }
  Status TakeOff(const Digest& digest) { return database_.Write("DELETE FROM doomed_blobs WHERE digest = ?", digest); }
  // Whether it is a task's module, or the weights or optimiser's state of a version that counts as here.
  Result<bool> IsNamed(const Digest& digest);
  // A version that had these weights and was pruned.
  Result<std::optional<VersionRecord>> PrunedWith(const Digest& weights);

  // The last version whose evaluations are folded: only their totals are left, and new ones do not count. 0: none.
  Result<ModelVersion> Folded(const TaskId& task);
  Status SaveFolded(const TaskId& task, ModelVersion version);
  // Removes the evaluations of the version by its first devices, at most as many rows as a turn has items. Whether there
  // were any.
  Result<bool> RemoveEvaluations(const TaskId& task, ModelVersion version);

  // The task's oldest rounds, with what decides whether they may go.
  struct OldRound {
    uint64_t number = 0;
    RoundState state = RoundState::kCollecting;
    WallTime closed;
    bool has_sum = false;  // a checkpoint
  };
  Result<std::vector<OldRound>> OldestRounds(const TaskId& task, uint64_t most);
  // With their refusals: those with numbers up to `last`.
  Status RemoveRounds(const TaskId& task, uint64_t last);

  // Versions that were pruned, the first ones first.
  struct OldVersion {
    ModelVersion version{};
    WallTime created;
  };
  Result<std::vector<OldVersion>> OldestPruned(const TaskId& task, uint64_t most);
  // With the totals of its evaluations and its manifest.
  Status RemoveVersion(const TaskId& task, ModelVersion version);
};

}  // namespace tributary

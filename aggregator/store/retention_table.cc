#include "aggregator/store/retention_table.h"

#include "aggregator/records/enrolment_records.h"
#include "protocol/payload/evaluation.h"

namespace tributary {

Result<std::vector<RetentionTable::Candidate>> RetentionTable::Unpinned(const TaskId& task, ModelVersion last,
                                                                        const Slice<ModelVersion>& slice) {
  const auto read = [](const Row& row) -> Result<Candidate> {
    Candidate candidate;
    RETURN_IF_ERROR(row.Into(candidate.version, candidate.weights.digest, candidate.weights.size));
    return candidate;
  };
  return database_.QueryAs(read,
                           "SELECT version, weights_digest, weights_size FROM versions WHERE task = ? AND pruned = 0 "
                           "AND version > ? AND version <= ? AND pinned = '' ORDER BY version LIMIT ?",
                           task, slice.after, last, slice.most);
}

Status RetentionTable::MarkPruned(const TaskId& task, const Candidate& candidate, WallTime now) {
  RETURN_IF_ERROR(
      database_.Write("UPDATE versions SET pruned = ? WHERE task = ? AND version = ?", now, task, candidate.version));
  RETURN_IF_ERROR(database_.Write("INSERT INTO doomed_blobs (digest) VALUES (?) ON CONFLICT (digest) DO NOTHING",
                                  candidate.weights.digest));
  for (const std::string_view column : {"compact_digest", "optimizer_digest"}) {
    RETURN_IF_ERROR(database_.Write(
        fmt::format(
            "INSERT INTO doomed_blobs (digest) SELECT {0} FROM versions WHERE task = ? AND version = ? AND {0} IS "
            "NOT NULL ON CONFLICT (digest) DO NOTHING",
            column),
        task, candidate.version));
  }
  return {};
}

Result<bool> RetentionTable::IsNamed(const Digest& digest) {
  ASSIGN_OR_RETURN(const bool is_module,
                   database_.QueryHas("SELECT 1 FROM tasks WHERE module_digest = ? LIMIT 1", digest));
  if (is_module) return true;
  for (const std::string_view column : {"compact_digest", "optimizer_digest", "weights_digest"}) {
    ASSIGN_OR_RETURN(
        const bool is_of_version,
        database_.QueryHas(fmt::format("SELECT 1 FROM versions WHERE {} = ? AND pruned = 0 LIMIT 1", column), digest));
    if (is_of_version) return true;
  }
  return false;
}

Result<std::optional<VersionRecord>> RetentionTable::PrunedWith(const Digest& weights) {
  const auto read = [](const Row& row) -> Result<VersionRecord> {
    VersionRecord version;
    RETURN_IF_ERROR(row.Into(version.task, version.version, version.pruned));
    return version;
  };
  return database_.QueryFirst(
      read, "SELECT task, version, pruned FROM versions WHERE weights_digest = ? AND pruned > 0 LIMIT 1", weights);
}

Result<ModelVersion> RetentionTable::Folded(const TaskId& task) {
  ASSIGN_OR_RETURN(
      const auto found,
      database_.QueryFirst(FirstCell<ModelVersion>, "SELECT version FROM folded_evaluations WHERE task = ?", task));
  return found.value_or(ModelVersion{});
}

Status RetentionTable::SaveFolded(const TaskId& task, ModelVersion version) {
  return database_.Write(
      "INSERT INTO folded_evaluations (task, version) VALUES (?, ?) ON CONFLICT (task) DO UPDATE SET version = "
      "excluded.version",
      task, version);
}

Result<bool> RetentionTable::RemoveEvaluations(const TaskId& task, ModelVersion version) {
  ASSIGN_OR_RETURN(const auto devices,
                   database_.QueryAs(FirstCell<DeviceId>,
                                     "SELECT device FROM evaluations WHERE task = ? AND version = ? ORDER BY device "
                                     "LIMIT ?",
                                     task, version, kItemsOfTurn));
  if (devices.empty()) return false;
  RETURN_IF_ERROR(database_.Write("DELETE FROM evaluation_metrics WHERE task = ? AND version = ? AND device <= ?", task,
                                  version, devices.back()));
  RETURN_IF_ERROR(database_.Write("DELETE FROM evaluations WHERE task = ? AND version = ? AND device <= ?", task,
                                  version, devices.back()));
  return true;
}

Result<std::vector<RetentionTable::OldRound>> RetentionTable::OldestRounds(const TaskId& task, uint64_t most) {
  const auto read = [](const Row& row) -> Result<OldRound> {
    OldRound round;
    std::string checkpoint;
    RETURN_IF_ERROR(row.Into(round.number, round.state, round.closed, checkpoint));
    round.has_sum = !checkpoint.empty();
    return round;
  };
  return database_.QueryAs(
      read, "SELECT number, state, closed, checkpoint FROM rounds WHERE task = ? ORDER BY number LIMIT ?", task, most);
}

Status RetentionTable::RemoveRounds(const TaskId& task, uint64_t last) {
  RETURN_IF_ERROR(database_.Write("DELETE FROM round_refusals WHERE task = ? AND round <= ?", task, last));
  return database_.Write("DELETE FROM rounds WHERE task = ? AND number <= ?", task, last);
}

Result<std::vector<RetentionTable::OldVersion>> RetentionTable::OldestPruned(const TaskId& task, uint64_t most) {
  const auto read = [](const Row& row) -> Result<OldVersion> {
    OldVersion version;
    RETURN_IF_ERROR(row.Into(version.version, version.created));
    return version;
  };
  return database_.QueryAs(
      read,
      "SELECT version, created FROM versions WHERE task = ? AND pruned > 0 ORDER BY pruned, version "
      "LIMIT ?",
      task, most);
}

Status RetentionTable::RemoveVersion(const TaskId& task, ModelVersion version) {
  for (const Role role : {Role::kDevice, Role::kEvaluator}) {
    for (const EvaluatedModel model : {EvaluatedModel::kGlobal, EvaluatedModel::kPersonal}) {
      RETURN_IF_ERROR(
          database_.Write("DELETE FROM metric_totals WHERE task = ? AND role = ? AND model = ? AND version = ?", task,
                          RoleName(role), model, version));
    }
  }
  RETURN_IF_ERROR(database_.Write("DELETE FROM manifests WHERE task = ? AND version = ?", task, version));
  return database_.Write("DELETE FROM versions WHERE task = ? AND version = ?", task, version);
}

}  // namespace tributary

#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tributary {

// The statements that take an aggregator's database back to the schema of `version`, the newest change first. A change of
// the schema adds its own at the top.
inline std::vector<std::string> StepsBackTo(uint64_t version) {
  const std::pair<uint64_t, const char*> changes[] = {
      {17, "ALTER TABLE tasks DROP COLUMN privacy"},
      {17, "DROP TABLE participations"},
      {17, "DROP TABLE draws"},
      {17, "DROP TABLE spending"},
      {16, "DROP TABLE manifests"},
      {15, "ALTER TABLE tasks DROP COLUMN next_policy"},
      {15, "ALTER TABLE tasks DROP COLUMN next_server_optimizer"},
      {15, "ALTER TABLE tasks DROP COLUMN paused"},
      {15, "ALTER TABLE tasks DROP COLUMN paused_at"},
      {15, "ALTER TABLE rounds DROP COLUMN extended"},
      {15, "ALTER TABLE rounds DROP COLUMN inclusion"},
      {14, "ALTER TABLE rounds DROP COLUMN staleness"},
      {13, "ALTER TABLE tasks DROP COLUMN robust"},
      {13, "ALTER TABLE contributions DROP COLUMN length"},
      {13, "ALTER TABLE contributions DROP COLUMN cosine"},
      {13, "ALTER TABLE contributions DROP COLUMN via"},
      {12, "DROP INDEX versions_by_optimizer"},
      {12, "ALTER TABLE tasks DROP COLUMN server_optimizer"},
      {12, "ALTER TABLE versions DROP COLUMN optimizer_digest"},
      {12, "ALTER TABLE versions DROP COLUMN optimizer_size"},
      {11, "DROP INDEX versions_by_compact"},
      {11, "ALTER TABLE versions DROP COLUMN compact_codec"},
      {11, "ALTER TABLE versions DROP COLUMN compact_base"},
      {11, "ALTER TABLE versions DROP COLUMN compact_digest"},
      {11, "ALTER TABLE versions DROP COLUMN compact_size"},
      {10, "ALTER TABLE rounds DROP COLUMN asks"},
      {10, "ALTER TABLE rounds DROP COLUMN asked"},
      {10, "ALTER TABLE rounds DROP COLUMN counted"},
      {9, "DROP INDEX versions_by_pruned"},
      {9, "DROP INDEX versions_by_restored"},
      {9, "DROP INDEX versions_by_weights"},
      {9, "ALTER TABLE versions DROP COLUMN pinned"},
      {9, "ALTER TABLE versions DROP COLUMN pruned"},
      {9, "DROP TABLE folded_evaluations"},
      {9, "DROP TABLE doomed_blobs"},
      {8, "ALTER TABLE evaluations DROP COLUMN counted"},
  };
  std::vector<std::string> steps;
  for (const auto& [of, statement] : changes) {
    if (of > version) steps.emplace_back(statement);
  }
  steps.push_back("PRAGMA user_version=" + std::to_string(version));
  return steps;
}

}  // namespace tributary

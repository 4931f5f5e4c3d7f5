#pragma once

#include <optional>
#include <vector>

#include "aggregator/records/privacy_policy.h"
#include "aggregator/records/slice.h"
#include "protocol/base/sql/database.h"

namespace tributary {

// The sums of a private task that a device was in.
struct TakenPart {
  uint64_t times = 0;
  uint64_t last = 0;  // the number of the last draw whose sum it is in; 0: none
};

struct VersionSpent {
  ModelVersion version{};
  SpentPrivacy spent;
};

// Of private tasks: who took part how often, the noise of each sum, and what was spent when a version was made. All of it
// is written in the transaction of the checkpoint, the round or the version that it belongs to.
class PrivacyTable : Tables {
 public:
  using Tables::Tables;

  // The device is in the sum of this draw.
  Status TakePart(const TaskId& task, const DeviceId& device, uint64_t draw) {
    return database_.Write(
        "INSERT INTO participations (task, device, times, last) VALUES (?, ?, 1, ?) ON CONFLICT (task, device) DO "
        "UPDATE "
        "SET times = times + 1, last = excluded.last",
        task, device, draw);
  }
  Result<TakenPart> Participation(const TaskId& task, const DeviceId& device);
  // Whether there is a device that took part `most` times, or in a sum after `last` and before `draw`.
  Result<bool> AnyBarred(const TaskId& task, uint64_t most, uint64_t last, uint64_t draw) {
    return database_.QueryHas(
        "SELECT 1 FROM participations WHERE task = ? AND (times >= ? OR (last > ? AND last < ?)) LIMIT 1", task, most,
        last, draw);
  }

  // `round` has this draw's sum from now on: a new draw, or one that an earlier round has left.
  Status SaveDraw(const TaskId& task, const NoiseDraw& draw, uint64_t round) {
    return database_.Write(
        "INSERT INTO draws (task, number, run, noise, round) VALUES (?, ?, ?, ?, ?) ON CONFLICT (task, number) DO "
        "UPDATE "
        "SET round = excluded.round",
        task, draw.number, draw.run, draw.noise, round);
  }
  // The newest one, with its round; 0: there was none.
  struct Drawn {
    NoiseDraw draw;
    uint64_t round = 0;
  };
  Result<Drawn> LastDraw(const TaskId& task);

  Status SaveSpent(const TaskId& task, const VersionSpent& spent) {
    return database_.Write(
        "INSERT INTO spending (task, version, epsilon, sequence, hash) VALUES (?, ?, ?, ?, ?) ON CONFLICT (task, "
        "version) "
        "DO UPDATE SET epsilon = excluded.epsilon, sequence = excluded.sequence, hash = excluded.hash",
        task, spent.version, spent.spent.epsilon, spent.spent.ledger.sequence, spent.spent.ledger.hash);
  }
  // In order of the versions.
  Result<std::vector<VersionSpent>> Spent(const TaskId& task, const Slice<ModelVersion>& slice);
  // Where the ledger ended with the newest version; nullopt: there is none that spent anything.
  Result<std::optional<VersionSpent>> LastSpent(const TaskId& task);
};

}  // namespace tributary

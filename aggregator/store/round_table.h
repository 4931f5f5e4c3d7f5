#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "aggregator/records/contribution.h"
#include "aggregator/records/records.h"
#include "aggregator/records/slice.h"
#include "protocol/base/limits.h"
#include "protocol/base/sql/database.h"

namespace tributary {

// A round as it would be found after a power cut: its record counts exactly what is in the sum that `checkpoint` holds.
struct StoredRound {
  RoundRecord record;          // without the means over evaluations, which have a table of their own
  std::string checkpoint;      // file name below checkpoints/; empty: nothing was summed yet
  uint64_t generation = 0;     // grows by one with every checkpoint
  uint64_t bytes_in = 0;       // ciphertext bytes of the updates that are in the checkpoint
  uint64_t bytes_written = 0;  // of all checkpoints of the round
  NoiseDraw draw = {};         // of its sum; it has a table of its own (PrivacyTable)
};

// Rounds and their refusals by reason. Save and Insert write several rows: call them in a transaction.
class RoundTable : Tables {
 public:
  using Tables::Tables;

  Status Insert(const StoredRound& round);
  Status Save(const StoredRound& round);
  Status SaveRefusals(const RoundRecord& round);
  // An upload that speaks of a round that is over already.
  Status AddBytes(const TaskId& task, uint64_t number, uint64_t bytes) {
    return database_.Write("UPDATE rounds SET bytes_up = bytes_up + ? WHERE task = ? AND number = ? AND bytes_up < ?",
                           bytes, task, number, limits::kCounter);
  }

  // In order of their numbers.
  Result<std::vector<StoredRound>> List(const TaskId& task, const Slice<uint64_t>& slice);
  // kNotFound.
  Result<StoredRound> Get(const TaskId& task, uint64_t number);
  // Those that are collecting or closing: at most one per task.
  Result<std::vector<StoredRound>> Open();
  // 0 when the task had no round yet.
  Result<uint64_t> LastNumber(const TaskId& task) {
    return database_.QueryNumber("SELECT number FROM rounds WHERE task = ? ORDER BY number DESC LIMIT 1", task);
  }
  // The first round on this base version, whose sum the later ones go on with; 0: none.
  Result<uint64_t> FirstOnBase(const TaskId& task, ModelVersion base) {
    return database_.QueryNumber("SELECT number FROM rounds WHERE task = ? AND base = ? ORDER BY number LIMIT 1", task,
                                 base);
  }
  // The newest round on this base version; 0: none.
  Result<uint64_t> LastOnBase(const TaskId& task, ModelVersion base) {
    return database_.QueryNumber("SELECT number FROM rounds WHERE task = ? AND base = ? ORDER BY number DESC LIMIT 1",
                                 task, base);
  }

 private:
  // `rounds` are of one task, in order of their numbers.
  Status ReadRefusals(std::span<StoredRound> rounds);
};

// The contributions that count.
class ContributionTable : Tables {
 public:
  using Tables::Tables;

  // kConflict: the device has contributed to this base version.
  Status Insert(const ContributionRecord& contribution) {
    return database_.Write(
        "INSERT INTO contributions (task, base_version, device, upload, weight, round, norm, statistics, length, "
        "cosine, "
        "via) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        contribution.task, contribution.base, contribution.device, contribution.upload, contribution.size.weight,
        contribution.round, contribution.size.norm, contribution.size.statistics, contribution.length,
        contribution.cosine, contribution.via);
  }
  Result<bool> Has(const TaskId& task, ModelVersion base, const DeviceId& device) {
    return database_.QueryHas("SELECT 1 FROM contributions WHERE task = ? AND base_version = ? AND device = ?", task,
                              base, device);
  }
  // Who counts on this base version.
  Result<std::vector<DeviceId>> Devices(const TaskId& task, ModelVersion base) {
    return database_.QueryAs(FirstCell<DeviceId>,
                             "SELECT device FROM contributions WHERE task = ? AND base_version = ?", task, base);
  }
  // The uploads of this round and later ones, and how many of them each direct peer brought.
  Result<std::vector<UploadId>> Uploads(const TaskId& task, uint64_t first_round) {
    return database_.QueryAs(FirstCell<UploadId>, "SELECT upload FROM contributions WHERE task = ? AND round >= ?",
                             task, first_round);
  }
  Result<std::map<std::string, uint64_t>> CountsByPeer(const TaskId& task, uint64_t first_round);
  // The median of each size: at least half of the contributions of this round and later ones are at most as large. All 0
  // when there are none.
  Result<UpdateSize> Median(const TaskId& task, uint64_t first_round);
  // Where the update of a device pointed, measured when the round ended.
  Status SetCosine(const TaskId& task, ModelVersion base, const DeviceId& device, std::optional<double> cosine) {
    return database_.Write("UPDATE contributions SET cosine = ? WHERE task = ? AND base_version = ? AND device = ?",
                           cosine, task, base, device);
  }
  // Of this base version, in the order of their devices: those that were in the sum when that round ended.
  Result<std::vector<ContributionRecord>> List(const TaskId& task, ModelVersion base, uint64_t round,
                                               const Slice<DeviceId>& slice);
  // Those on base versions before `oldest`, which nothing refers to any more.
  Status ForgetBefore(const TaskId& task, ModelVersion oldest) {
    return database_.Write("DELETE FROM contributions WHERE task = ? AND base_version < ?", task, oldest);
  }
};

}  // namespace tributary

#pragma once

#include <optional>
#include <string>

#include "aggregator/round/round_turn.h"
#include "aggregator/round/task_privacy.h"

namespace tributary {

// What a round runner does for the privacy of its task, beside its rounds. Of a task without [privacy] it does nothing
// and allows everything. One thread.
class PrivateRounds {
 public:
  PrivateRounds(const TaskPrivacy::Surroundings& around, const TaskRecord& task);

  // Null: the task is not private.
  TaskPrivacy* get() { return privacy_ ? &*privacy_ : nullptr; }

  // Fills in the draw of the round that is open or on the shelf.
  Status Restore(StoredRound& round);
  // The open round could not be restored: when that is because its noise is gone, and nobody's update was in it, it
  // fails and is stored. Otherwise `why`.
  Status GiveUp(StoredRound round, const Error& why, WallTime now);
  // Has the next noise drawn. Perhaps the ledger says that a version was made of the restored sum, which the database does not remember. Says why the sum
  // is given up, after it was paid; empty: it need not be.
  Result<std::string> Turn();
  void ForgottenIsOver() { forgotten_ = false; }

  // The noise of the next round's sum, or that of the sum on the shelf; or why the privacy of the task permits none.
  // Then no more are wanted in `turn`, which says so.
  Result<NoiseDraw> Plan(RoundTurn& turn);
  // Why no version may be made of the round's sum, if `why` does not say that already; empty: it may.
  Result<std::string> WhyNoVersion(const StoredRound& round, std::string why);
  // Of one update; 0: the task is not private.
  Result<uint64_t> WholeNorm();
  // For the version that is made of the round's sum. nullopt: the task is not private.
  Result<std::optional<SpentPrivacy>> Pay(const StoredRound& round);
  // For a version that is made of no sum.
  std::optional<SpentPrivacy> Present();
  // Members know versions up to `floor`, the database versions up to `latest`.
  Status PayLost(uint64_t floor, ModelVersion latest);

  // Whether this round's sum begins with noise. It is read before the turn is written: what is in the way of it is in the
  // way of the turn.
  bool BeginsWithNoise(const std::optional<StoredRound>& next) const {
    return privacy_ && next && next->checkpoint.empty();
  }
  // After a turn is in the database. `has_sum`: of a round that is open, or on the shelf.
  void Written(const std::optional<StoredRound>& next, bool has_sum);
  // The round's checkpoint is durable.
  void Settled(const StoredRound& round) const;

 private:
  Store& store_;
  const TaskRecord& task_;
  std::optional<TaskPrivacy> privacy_;
  bool forgotten_ = false;
};

}  // namespace tributary

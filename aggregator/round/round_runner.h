#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "aggregator/intake/account_book.h"
#include "aggregator/intake/upload_judge.h"
#include "aggregator/release/task_book.h"
#include "aggregator/round/private_rounds.h"
#include "aggregator/round/reach.h"
#include "aggregator/round/robust_round.h"
#include "aggregator/round/round_keeper.h"
#include "aggregator/round/round_rule.h"
#include "aggregator/round/round_turn.h"
#include "aggregator/watch/fleet_book.h"
#include "protocol/envelope/remembered_versions.h"

namespace tributary {

// kUnknownVersion: the task has no such version.
Status CheckVersion(const LiveTask& task, ModelVersion version);

// One task's rounds, one after the other: opens them, takes updates in, closes them when its rule says so, makes the
// next version, and shelves the sum of a round that ended without one. Call order: Restore (for a task from the
// database), then anything; TurnIfDue about ten times a second. Each step is one transaction and may be called again
// after any failure or crash. Borrows the task and what the parts name; the core thread.
//
// A round that fell short because devices cannot train is followed by the next one when enough of them can, at the latest
// at the deadline that it had: begun at once, it would end at once (reach.h).
//
// The sum of a private task begins with its noise and keeps it from shelf to round (task_privacy.h). When its budget holds
// no further version, rounds that are still wanted are given up, with the event rounds.stopped.
//
// A round that follows a failed one on the same base asks again: what a device gave for it may have been lost on the way,
// with a gateway's disk, and the device believes that it is done. Whose contribution counts is named and not asked.
class RoundRunner {
 public:
  RoundRunner(const RoundParts& parts, LiveTask& task);
  // The rounds that ended, as the database has them, and the one that is open, if any. kCorrupt: its checkpoint.
  Status Restore(std::optional<StoredRound> open);

  const LiveTask& task() const { return task_; }
  // The round that collects or is being closed; null: none.
  RoundKeeper* open() { return keeper_ ? &*keeper_ : nullptr; }
  const RoundKeeper* open() const { return keeper_ ? &*keeper_ : nullptr; }
  uint64_t last_round() const { return last_round_; }

  // `count` more rounds: opens one now if none is open.
  Status Start(uint64_t count);
  Status Cancel();
  // See Rounds. An empty reason: they go on.
  Status SetPaused(const std::string& reason);
  Status SetSettings(const RoundSettings& settings);
  Status AskAgain(const std::optional<DeviceId>& device);
  // Makes a new version with the weights of `to`. The open round is cancelled, and what it summed is thrown away, since
  // nobody goes on from its base; rounds that are still wanted start from the new version. kUnknownVersion;
  // kInvalidArgument: `to` is the latest.
  Result<VersionRecord> RollBack(ModelVersion to, const std::string& reason);

  // When members know the task's latest version, or a later one, that is not of this database (VersionFloor): the weights
  // of the latest are published again under a number that nobody knows.
  Status GoAbove();

  // Null: the task is not private.
  TaskPrivacy* privacy() { return privacy_.get(); }
  // Of this update, for the open round; valid until that round or version is over. The layout is that of its base version.
  // Errors: those of RobustRound.
  Result<UpdateBounds> BoundsFor(const UploadSubject& subject, const UpdateLayout& layout);
  // The files beside the checkpoints that the task's rounds need.
  void AddFileNames(std::set<std::string>& names) const;
  // An update is in the sum of the open round.
  void Contributed(const UploadHeader& header, const TakenUpdate& update);
  // Closes or fails the round when it is due, checkpoints it when that is due.
  Status TurnIfDue();
  // Checkpoints what is in the sum.
  Status Flush();
  void Say(std::string_view event, const std::string& detail = "");

 private:
  Status PlanNext(RoundTurn& turn);
  // A new version with the weights of `again`, which is a version of the task. The open round is cancelled, as `why` says.
  Result<VersionRecord> Republish(VersionRecord again, const std::string& reason, const std::string& why);
  // How a round ends. `next`: another one may begin at once.
  struct End {
    RoundState state;
    std::string shortfall = {};
    bool next = true;
  };
  Result<RoundTurn> PlanEnd(End end);
  Status PlanVersion(RoundTurn& turn);
  Status Commit(RoundTurn turn);
  // What devices are told of the open round, and the task with it.
  Status SaveOpen(const StoredRound& round, const TaskRecord& task);
  Status Checkpoint(RoundState state);
  // To the end of the round: from collecting to closing to completed.
  Status Close();
  // Without a version.
  Status Abandon(End end);
  Status OpenWhenWithinReach();

  RoundParts parts_;
  LiveTask& task_;
  RoundRule rule_;
  PrivateRounds privacy_;
  RoundKeeper::Surroundings around_;
  RobustRound robust_;
  std::optional<RoundKeeper> keeper_;
  std::optional<StoredRound> shelved_;
  uint64_t last_round_ = 0;
  Millis last_taken_{0};  // monotonic: when an update last came in
  Reach reach_;
  WallTime next_at_;  // the next round waits for devices until then
};

// kRoundClosed: no round collects updates now.
Status CheckCollecting(const RoundRunner& runner);

}  // namespace tributary

#pragma once

#include <optional>
#include <vector>

#include "aggregator/records/contribution.h"
#include "aggregator/records/records.h"
#include "aggregator/records/slice.h"
#include "aggregator/round/task_privacy.h"
#include "protocol/base/result.h"

namespace tributary {

// The rounds of all tasks, for operators. The API calls it on the core thread.
class Rounds {
 public:
  virtual ~Rounds() = default;
  // Runs `count` more rounds, one after the other. A round that fails counts as one of them. Nothing of a failed or
  // cancelled round is lost: its sum is shelved and the next round on the same base version goes on with it, so a
  // device counts once per base version however many rounds that takes. Returns the open round, or the one just opened.
  // kUnknownTask, kInvalidArgument; kConflict: the rounds are paused.
  virtual Result<RoundRecord> Start(const TaskId& task, uint64_t count) = 0;
  // Cancels the open round, if any, and those still wanted. kUnknownTask.
  virtual Status Cancel(const TaskId& task) = 0;
  // The rounds stand still, and say why: devices are told of none, the open one takes nothing in and its time does not
  // run. Resume goes on with them. Both answer the task after it. kUnknownTask.
  virtual Result<TaskRecord> Pause(const TaskId& task, const std::string& reason) = 0;
  virtual Result<TaskRecord> Resume(const TaskId& task) = 0;
  // They hold from the next round on, at once when none is open; a larger goal may wait for the next version, since all
  // sums on a version have one scale. kUnknownTask; kInvalidArgument names the field.
  virtual Result<TaskRecord> SetSettings(const TaskId& task, const RoundSettings& settings) = 0;
  // Devices work again on the version of the open round, for what they gave may be lost: this one, or all that do not count
  // yet. None counts twice. kUnknownTask; kRoundClosed: no round collects updates; kConflict: the device counts already, or
  // is not in this round.
  virtual Result<RoundRecord> AskAgain(const TaskId& task, const std::optional<DeviceId>& device) = 0;
  // Makes a new version with the weights of `to`, and says why. The open round is cancelled; the next one that is
  // wanted starts from the new version. kUnknownTask, kUnknownVersion, kInvalidArgument: `to` is the latest.
  virtual Result<VersionRecord> RollBack(const TaskId& task, ModelVersion to, const std::string& reason) = 0;
  // In the order of their numbers. kUnknownTask.
  virtual Result<std::vector<RoundRecord>> List(const TaskId& task, const Slice<uint64_t>& slice = {}) = 0;
  // What is in the round's sum, in the order of the devices: of an open round, what is on disk. kUnknownTask; kNotFound:
  // no such round, or the task is private; kPruned: its base version is so old that they are forgotten.
  virtual Result<std::vector<ContributionRecord>> Contributions(const TaskId& task, uint64_t number,
                                                                const Slice<DeviceId>& slice = {}) = 0;
  // kUnknownTask, kNotFound.
  virtual Result<RoundRecord> Get(const TaskId& task, uint64_t number) = 0;
  // What its versions have told so far. kUnknownTask; kNotFound: the task is not private.
  virtual Result<PrivacyStanding> Privacy(const TaskId& task) = 0;
};

}  // namespace tributary

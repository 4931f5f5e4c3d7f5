#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"

namespace tributary {

// How far the device is with one version of a task. Every change is on disk before what follows from it is begun.
enum class TaskPhase : uint8_t {
  kWaiting = 0,  // nothing to do for this version: not in a round, or none is open
  kWorking = 1,  // the fit (an evaluator: the evaluation) runs; a restart begins it again, with the same result
  // The uploads are complete in the outbox, or have left it. Done again only when they were dropped because the
  // aggregator's key that they are sealed to is over, or because examples that they were made from were deleted.
  kHandedOver = 2,
  kGivenUp = 3,  // the fit failed for good, for example it diverged (terminal for the version)
};
std::string_view TaskPhaseName(TaskPhase phase);
// The one transition table. A new version, and the next time that a version is asked for, starts at kWaiting from anywhere.
bool MayFollow(TaskPhase from, TaskPhase to);

struct TaskProgress {
  TaskPhase phase = TaskPhase::kWaiting;
  ModelVersion version{};
  uint64_t round = 0;
  uint32_t ask = 0;  // which time of asking for the version it answers
  // The same work, a step further.
  TaskProgress In(TaskPhase next) const { return {next, version, round, ask}; }
  bool operator==(const TaskProgress&) const = default;
};

// The last thing that went wrong with a task. It goes away when work on the task succeeds.
struct TaskFailure {
  Code code{};
  std::string sentence;  // printable ASCII, at most limits::kSentenceBytes
  uint64_t count = 0;    // failures of the work on this version
  ModelVersion version{};
  WallTime last;
  uint64_t tries = 0;  // those of `count` in which the learner failed
  bool operator==(const TaskFailure&) const = default;
};
// So often the learner may fail at one version.
inline constexpr uint64_t kLearnerTries = 3;
// So often in a row the device's own end may cut the work on a version off before it rests, which it then says. The learner of
// that work has a process of its own (Learner::works_apart).
inline constexpr uint64_t kCutOffsAtOnce = 3;

// The persisted progress of all tasks, and their last failures. The file is text, written atomically:
//   file    = "tributary-agent 1\n" *failure *erasure *line
//   failure = "failure: " task " " code " " version " " count " " tries " " unix_millis " " sentence "\n"
//   erasure = "erasures: " task " " generation "\n"
//   line    = task " " phase " " version " " round [" " ask] "\n"     (ask: only when it is not 0)
// for example "fashion handed_over 3 3", and
// "failure: fashion learner-crashed 3 1 1 1700000000000 the learner was ended by SIGSEGV". Files of before there were
// failures and erasures are read.
class AgentState {
 public:
  // An absent file is an empty state. kCorrupt: not of that form.
  static Result<AgentState> Load(FileSystem& files, const Path& file);

  TaskProgress Of(const TaskId& task) const;
  const std::map<TaskId, TaskProgress>& tasks() const { return content_.tasks; }
  const std::map<TaskId, TaskFailure>& failures() const { return content_.failures; }
  // The generation of the examples (ExampleSource) from which everything was made that the outbox holds of the task.
  uint64_t GenerationOf(const TaskId& task) const;
  // The learner has failed at this version as often as it may.
  bool TriesAreUsedUp(const TaskId& task, ModelVersion version) const;
  // Durable on return. What is handed over has succeeded: the task's failure is forgotten with it. A transition that the
  // table does not have is a CHECK.
  Status Set(const TaskId& task, const TaskProgress& progress);
  // Counts a failure of the work on `version`. Durable on return.
  Status AddFailure(const TaskId& task, ModelVersion version, const Error& why, WallTime now);
  // Durable on return.
  Status ForgetFailure(const TaskId& task);
  // Durable on return.
  Status SetGeneration(const TaskId& task, uint64_t generation);

 private:
  AgentState(FileSystem& files, Path file) : files_(&files), file_(std::move(file)) {}
  // The content of the file.
  struct Content {
    std::map<TaskId, TaskProgress> tasks;
    std::map<TaskId, TaskFailure> failures;
    std::map<TaskId, uint64_t> generations;  // without those that are 0
  };
  // Durable, then in force. What the file says already is not written again.
  Status Write(Content next);

  FileSystem* files_;
  Path file_;
  Content content_;
  std::string on_disk_;  // the file, as far as that is known
};

// Describes a device's folder for people: what waits in the outbox and for how long, where every upload went, how far
// each task is, which model the device uses for itself and how good it is beside the version, and the last device state that was sent. Reads only; the daemon may run meanwhile.
// Errors: kNotFound: nothing was ever in this folder; those of SpoolReader and AgentState.
Result<std::string> DescribeDevice(FileSystem& files, const Path& data_dir, WallTime now);

}  // namespace tributary

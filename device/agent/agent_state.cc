#include "device/agent/agent_state.h"

#include <array>
#include <sstream>

#include "protocol/base/limits.h"

namespace tributary {
namespace {

constexpr std::string_view kHead = "tributary-agent 1\n";
constexpr std::array kPhases = {TaskPhase::kWaiting, TaskPhase::kWorking, TaskPhase::kHandedOver, TaskPhase::kGivenUp};

}  // namespace

std::string_view TaskPhaseName(TaskPhase phase) {
  switch (phase) {
    case TaskPhase::kWaiting:
      return "waiting";
    case TaskPhase::kWorking:
      return "working";
    case TaskPhase::kHandedOver:
      return "handed_over";
    case TaskPhase::kGivenUp:
      return "given_up";
  }
  return "?";
}

bool MayFollow(TaskPhase from, TaskPhase to) {
  constexpr bool kTable[4][4] = {
      // to:   waiting working handed_over given_up
      {true, true, false, false},   // from waiting
      {true, true, true, true},     // from working (to working: begun again after a restart)
      {true, false, true, false},   // from handed_over (to waiting: what it gave is sealed to a key that is over)
      {false, false, false, true},  // from given_up
  };
  return kTable[static_cast<size_t>(from)][static_cast<size_t>(to)];
}

Result<AgentState> AgentState::Load(FileSystem& files, const Path& file) {
  AgentState state(files, file);
  const auto bytes = ReadFile(files, file, limits::kConfigBytes);
  if (!bytes && bytes.error().code == Code::kNotFound) return state;
  if (!bytes) return Fail(bytes.error());
  const auto corrupt = [&](const std::string& what) {
    return Fail(Code::kCorrupt,
                file.string() + ": " + what + "; remove the file to begin anew (finished uploads are in the outbox)");
  };
  std::string_view text = AsText(*bytes);
  if (!text.starts_with(kHead)) return corrupt("not an agent's state");
  std::istringstream lines{std::string(text.substr(kHead.size()))};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string task_name, phase_name;
    uint64_t version = 0, round = 0;
    std::string more;
    if (!(words >> task_name >> phase_name >> version >> round) || words >> more) return corrupt("line '" + line + "'");
    const auto task = TaskId::Parse(task_name);
    if (!task) return corrupt(task.error().message);
    bool known = false;
    for (const TaskPhase phase : kPhases) {
      if (TaskPhaseName(phase) != phase_name) continue;
      state.tasks_[*task] = {phase, ModelVersion{version}, round};
      known = true;
    }
    if (!known) return corrupt("phase '" + phase_name + "'");
  }
  return state;
}

TaskProgress AgentState::Of(const TaskId& task) const {
  const auto found = tasks_.find(task);
  return found == tasks_.end() ? TaskProgress{} : found->second;
}

Status AgentState::Set(const TaskId& task, const TaskProgress& progress) {
  const TaskProgress before = Of(task);
  const TaskPhase from = before.version == progress.version ? before.phase : TaskPhase::kWaiting;
  TRIBUTARY_CHECK(MayFollow(from, progress.phase)) << TaskPhaseName(from) << " -> " << TaskPhaseName(progress.phase);
  auto tasks = tasks_;
  tasks[task] = progress;
  std::string text(kHead);
  for (const auto& [id, one] : tasks) {
    text += id.text() + " " + std::string(TaskPhaseName(one.phase)) + " " + std::to_string(Number(one.version)) + " " +
            std::to_string(one.round) + "\n";
  }
  RETURN_IF_ERROR(WriteFileAtomically(*files_, file_, AsBytes(text)));
  tasks_ = std::move(tasks);
  return {};
}

}  // namespace tributary

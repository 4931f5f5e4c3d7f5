#include "device/agent/agent_state.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <sstream>
#include <utility>

#include <fmt/format.h>

#include "device/agent/personal_store.h"
#include "device/learn/learner.h"
#include "device/report/device_state_keeper.h"
#include "protocol/base/limits.h"
#include "protocol/spool/spool_reader.h"

namespace tributary {
namespace {

constexpr std::string_view kHead = "tributary-agent 1\n";
constexpr std::array<std::string_view, 4> kPhases = {"waiting", "working", "handed_over", "given_up"};
constexpr std::string_view kFailureWord = "failure:";
constexpr std::string_view kErasuresWord = "erasures:";
constexpr size_t kDeadLettersShown = 5;

// A text of a learner or a library becomes a part of one line.
std::string OneLine(std::string_view text) {
  std::string line(text.substr(0, limits::kSentenceBytes));
  std::ranges::replace_if(
      line, [](char c) { return c == '\n' || c == '\t'; }, ' ');
  std::ranges::replace_if(
      line, [](char c) { return c < ' ' || c > '~'; }, '?');
  return line;
}

std::optional<std::pair<TaskId, TaskFailure>> ReadFailure(std::istringstream& words) {
  std::string task_name, code_name;
  uint64_t version = 0;
  TaskFailure failure;
  if (!(words >> task_name >> code_name >> version >> failure.count >> failure.tries >> failure.last.unix_millis))
    return std::nullopt;
  const auto task = TaskId::Parse(task_name);
  const auto code = CodeByName(code_name);
  if (!task || !code) return std::nullopt;
  failure.code = *code;
  failure.version = ModelVersion{version};
  std::getline(words >> std::ws, failure.sentence);
  failure.sentence = OneLine(failure.sentence);
  return std::pair(*task, failure);
}

std::string FailureLine(const TaskId& task, const TaskFailure& failure) {
  return fmt::format("{} {} {} {} {} {} {} {}\n", kFailureWord, task.text(), Name(failure.code),
                     Number(failure.version), failure.count, failure.tries, failure.last.unix_millis, failure.sentence);
}

bool ReadAsk(std::string_view word, uint32_t& ask) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), ask);
  return error == std::errc() && end == word.data() + word.size();
}

std::string Reasons(const std::map<Code, uint64_t>& counts) {
  std::string text;
  for (const auto& [code, count] : counts) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", Name(code), count);
  return text.empty() ? "-" : text;
}

std::string AccountLines(const SpoolAccount& account) {
  std::string text = "kind          offered  delivered  waiting  in flight  duplicate  holds  refused; dropped\n";
  for (const UploadKind kind : kUploadKinds) {
    const KindAccount& of = account.of(kind);
    text += fmt::format("{:<12} {:>8} {:>10} {:>8} {:>10} {:>10} {:>6}  {}; {}\n", KindName(kind), of.offered,
                        of.delivered, of.spooled, of.in_flight, of.duplicate, of.Balances() ? "yes" : "NO",
                        Reasons(of.refused), Reasons(of.dropped));
  }
  return text;
}

std::string DeadLetterLines(const std::vector<DeadLetter>& letters) {
  std::string text;
  for (const DeadLetter& letter : letters) {
    const CodeEntry& reason = Describe(letter.reason);
    text += fmt::format("given up   {} {}: {} {}\n", letter.id.hex(), KindName(letter.kind), reason.sentence,
                        reason.remedy);
  }
  return text;
}

// Of each task the model that the device uses for itself, and how it does beside the version.
Result<std::string> PersonalLines(FileSystem& files, const Path& folder) {
  const PersonalStore store(files, folder);
  ASSIGN_OR_RETURN(const auto bases, store.Bases());
  std::string text;
  for (const auto& [task, version] : bases) {
    const auto model = store.Read(task, version);
    if (!model) {
      text += fmt::format("personal   {}: {}; the device begins afresh\n", task.text(), model.error().message);
      continue;
    }
    text += fmt::format("personal   {}: on version {}, uses {}: {}; the version itself: {}; {} examples held back, {} bytes kept\n",
                        task.text(), Number(model->base), model->uses_global() ? "the version itself" : "'" + model->choice + "'",
                        ScoreText(model->personal), ScoreText(model->global), model->examples, model->value_bytes());
  }
  return text;
}

// From the last state that the device sent of itself.
std::string StateLines(FileSystem& files, const Path& data_dir) {
  const DeviceStateKeeper keeper = DeviceStateKeeper::Load(files, data_dir / "report");
  const DeviceState& state = keeper.last();
  if (state.sequence == 0) return "";
  std::string text = fmt::format("state      {}: publication {}, root {}\n", state.sequence, state.publication_number,
                                 state.root_version);
  for (const auto& [task, installed] : state.installed)
    text += fmt::format("installed  {}: version {}\n", task.text(), Number(installed.version));
  if (!state.withheld.empty()) text += fmt::format("withheld   {}\n", state.withheld);
  for (const auto& [code, rejections] : state.rejections) {
    text += fmt::format("rejected   {} publications, {}: {}\n", rejections.count, Name(code), rejections.last_sentence);
  }
  return text;
}

}  // namespace

std::string_view TaskPhaseName(TaskPhase phase) { return kPhases.at(static_cast<size_t>(phase)); }

bool MayFollow(TaskPhase from, TaskPhase to) {
  constexpr bool kTable[4][4] = {
      // to:   waiting working handed_over given_up
      {true, true, false, false},   // from waiting
      {true, true, true, true},     // from working (to working: begun again after a restart)
      {true, false, true, false},   // from handed_over (to waiting: what it gave is lost)
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
    return Fail(Code::kCorrupt, "{}: {}; remove the file to begin anew (finished uploads are in the outbox)",
                file.string(), what);
  };
  std::string_view text = AsText(*bytes);
  if (!text.starts_with(kHead)) return corrupt("not an agent's state");
  state.on_disk_ = text;
  std::istringstream lines{std::string(text.substr(kHead.size()))};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    if (line.starts_with(kFailureWord)) {
      words.ignore(kFailureWord.size());
      const auto failure = ReadFailure(words);
      if (!failure) return corrupt("line '" + line + "'");
      state.content_.failures.insert(*failure);
      continue;
    }
    std::string task_name, phase_name, more;
    uint64_t version = 0, round = 0;
    uint32_t ask = 0;
    if (line.starts_with(kErasuresWord)) {
      words.ignore(kErasuresWord.size());
      uint64_t generation = 0;
      const bool whole = static_cast<bool>(words >> task_name >> generation) && !(words >> more);
      const auto task = TaskId::Parse(task_name);
      if (!whole || !task) return corrupt("line '" + line + "'");
      state.content_.generations[*task] = generation;
      continue;
    }
    if (!(words >> task_name >> phase_name >> version >> round)) return corrupt("line '" + line + "'");
    if (words >> more && (!ReadAsk(more, ask) || words >> more)) return corrupt("line '" + line + "'");
    const auto task = TaskId::Parse(task_name);
    if (!task) return corrupt(task.error().message);
    const auto phase = std::ranges::find(kPhases, std::string_view(phase_name));
    if (phase == kPhases.end()) return corrupt("phase '" + phase_name + "'");
    state.content_.tasks[*task] = {static_cast<TaskPhase>(phase - kPhases.begin()), ModelVersion{version}, round,
                                   ask};
  }
  return state;
}

TaskProgress AgentState::Of(const TaskId& task) const {
  const auto found = tasks().find(task);
  return found == tasks().end() ? TaskProgress{} : found->second;
}

uint64_t AgentState::GenerationOf(const TaskId& task) const {
  const auto found = content_.generations.find(task);
  return found == content_.generations.end() ? 0 : found->second;
}

Status AgentState::Set(const TaskId& task, const TaskProgress& progress) {
  const TaskProgress before = Of(task);
  const bool same = before.version == progress.version && before.ask == progress.ask;
  const TaskPhase from = same ? before.phase : TaskPhase::kWaiting;
  TRIBUTARY_CHECK(MayFollow(from, progress.phase)) << TaskPhaseName(from) << " -> " << TaskPhaseName(progress.phase);
  Content next = content_;
  next.tasks[task] = progress;
  if (progress.phase == TaskPhase::kHandedOver) next.failures.erase(task);
  return Write(std::move(next));
}

Status AgentState::ForgetFailure(const TaskId& task) {
  Content next = content_;
  next.failures.erase(task);
  return Write(std::move(next));
}

Status AgentState::SetGeneration(const TaskId& task, uint64_t generation) {
  Content next = content_;
  next.generations[task] = generation;
  if (generation == 0) next.generations.erase(task);
  return Write(std::move(next));
}

bool AgentState::TriesAreUsedUp(const TaskId& task, ModelVersion version) const {
  const auto found = failures().find(task);
  return found != failures().end() && found->second.version == version && found->second.tries >= kLearnerTries;
}

Status AgentState::AddFailure(const TaskId& task, ModelVersion version, const Error& why, WallTime now) {
  Content next = content_;
  TaskFailure& failure = next.failures[task];
  if (failure.version != version) failure = {};
  failure.code = why.code;
  failure.sentence = OneLine(why.message);
  failure.version = version;
  failure.last = now;
  ++failure.count;
  if (IsLearnerFailure(why.code)) ++failure.tries;
  return Write(std::move(next));
}

Status AgentState::Write(Content next) {
  std::string text(kHead);
  for (const auto& [id, failure] : next.failures) text += FailureLine(id, failure);
  for (const auto& [id, generation] : next.generations)
    text += fmt::format("{} {} {}\n", kErasuresWord, id.text(), generation);
  for (const auto& [id, one] : next.tasks) {
    text += fmt::format("{} {} {} {}{}\n", id.text(), TaskPhaseName(one.phase), Number(one.version), one.round,
                        one.ask == 0 ? "" : fmt::format(" {}", one.ask));
  }
  if (text != on_disk_) {
    on_disk_.clear();
    RETURN_IF_ERROR(WriteFileAtomically(*files_, file_, AsBytes(text)));
    on_disk_ = std::move(text);
  }
  content_ = std::move(next);
  return {};
}

Result<std::string> DescribeDevice(FileSystem& files, const Path& data_dir, WallTime now) {
  auto outbox = SpoolReader::Open(data_dir / "outbox", files);
  if (!outbox && outbox.error().code == Code::kNotFound) {
    return Fail(Code::kNotFound, "{} has no outbox: the device has not run with this configuration", data_dir.string());
  }
  if (!outbox) return Fail(outbox.error());
  ASSIGN_OR_RETURN(const SpoolAccount account, (*outbox)->Account());
  ASSIGN_OR_RETURN(const auto oldest, (*outbox)->OldestSpooled());
  ASSIGN_OR_RETURN(const auto letters, (*outbox)->DeadLetters(kDeadLettersShown));
  ASSIGN_OR_RETURN(const AgentState state, AgentState::Load(files, data_dir / "state"));

  std::string text = fmt::format("outbox     {} uploads wait, {} bytes", account.Spooled(), account.bytes);
  if (oldest) {
    text += fmt::format(", the oldest for {} s", std::max<int64_t>(0, now.unix_millis - oldest->unix_millis) / 1000);
  }
  text += "\n";
  for (const auto& [task, progress] : state.tasks()) {
    text += fmt::format("task       {}: {}, version {}, round {}\n", task.text(), TaskPhaseName(progress.phase),
                        Number(progress.version), progress.round);
  }
  for (const auto& [task, failure] : state.failures()) {
    text += fmt::format("failed     {}: version {}, {} times, last {}: {}\n           what to do: {}\n", task.text(),
                        Number(failure.version), failure.count, Name(failure.code), failure.sentence,
                        Describe(failure.code).remedy);
  }
  ASSIGN_OR_RETURN(const std::string personal, PersonalLines(files, data_dir / "personal"));
  return text + personal + StateLines(files, data_dir) + DeadLetterLines(letters) + "\n" + AccountLines(account);
}

}  // namespace tributary

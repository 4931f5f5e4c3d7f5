#include "aggregator/operator/command/round_watch.h"

#include <unistd.h>

#include <chrono>
#include <iostream>
#include <map>
#include <thread>

namespace tributary {
namespace {

constexpr int kTries = 30;                        // after a broken connection …
constexpr auto kPause = std::chrono::seconds(2);  // … with this between them

bool IsTerminal(const std::string& state) { return state == "completed" || state == "failed" || state == "cancelled"; }

class RoundWatch {
 public:
  RoundWatch(const Context& context, ApiClient& client, std::string task)
      : context_(context),
        client_(client),
        task_(std::move(task)),
        live_(!context.json() && isatty(STDOUT_FILENO) == 1) {}

  // Looks at the state; prints what is new. True while there is more to come.
  Result<bool> Look() {
    ASSIGN_OR_RETURN(const Json task, client_.Task(task_));
    ASSIGN_OR_RETURN(const Json rounds, client_.Rounds(task_));
    bool open = false;
    for (const auto& round : rounds["items"]) {
      last_state_ = round.value("state", "");
      if (IsTerminal(last_state_)) {
        PrintRound(round);
      } else {
        open = true;
      }
    }
    return open || task.value("rounds_wanted", 0) > 0;
  }

  // What is not to be printed, because it had ended before.
  Status Prime(std::optional<uint64_t> first) {
    ASSIGN_OR_RETURN(const Json rounds, client_.Rounds(task_));
    for (const auto& round : rounds["items"]) {
      const uint64_t number = round.value("number", uint64_t{0});
      const bool before = first ? number < *first : IsTerminal(round.value("state", ""));
      if (before) printed_[number] = RenderLine(round);
    }
    return {};
  }

  void Progress(const Json& event) const {
    if (!live_ || !event.is_object()) return;
    std::cout << "\r\033[Kround " << RenderValue(event.value("round", Json())) << "  "
              << RenderValue(event.value("reports", Json())) << " reports" << std::flush;
  }

  const std::string& last_state() const { return last_state_; }

 private:
  static std::string RenderLine(const Json& round) {
    const auto field = [&round](const char* key) { return RenderValue(round.value(key, Json())); };
    return "round " + field("number") + "  " + field("state") + "  version " + field("result_version") + "  reports " +
           field("reports") + "  refused " + field("refused") + "  global " + field("global_accuracy") + "  personal " +
           field("personal_accuracy") + "  bytes " + field("bytes_up");
  }

  void PrintRound(const Json& round) {
    const std::string line = RenderLine(round);
    std::string& printed = printed_[round.value("number", uint64_t{0})];
    if (printed == line) return;
    printed = line;
    std::cout << (live_ ? "\r\033[K" : "") << (context_.json() ? round.dump() : line) << std::endl;
  }

  const Context& context_;
  ApiClient& client_;
  const std::string task_;
  const bool live_;
  std::map<uint64_t, std::string> printed_;
  std::string last_state_;
};

}  // namespace

Status WatchRounds(const Context& context, const std::string& task, std::optional<uint64_t> first) {
  ASSIGN_OR_RETURN(ApiClient events, context.Client());
  ASSIGN_OR_RETURN(ApiClient state, context.Client());  // the other one is busy with the stream
  RoundWatch watch(context, state, task);
  RETURN_IF_ERROR(watch.Prime(first));
  std::string last_id;
  for (int tries = kTries;;) {
    Status looked;
    const Status ended = events.Watch(task, last_id, [&](const std::string& name, const Json& event) {
      tries = kTries;
      if (name == "round.report") {
        watch.Progress(event);
        return true;
      }
      const auto more = watch.Look();
      if (!more) looked = Fail(more.error());
      return more && *more;
    });
    if (!looked && !IsTransient(looked.error().code)) return looked;
    if (ended && looked) break;
    const Error error = ended ? looked.error() : ended.error();
    if (!IsTransient(error.code) || --tries < 0) return Fail(error);
    context.Say("connection lost (" + error.message + "); rounds go on without it; trying again");
    std::this_thread::sleep_for(kPause);
  }
  if (watch.last_state() == "completed" || watch.last_state().empty()) return {};
  return Fail(Code::kConflict,
              "the last round " + watch.last_state() + "; 'tributary rounds list " + task + "' shows why");
}

}  // namespace tributary

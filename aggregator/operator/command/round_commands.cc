#include "aggregator/operator/command/round_commands.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <thread>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "aggregator/operator/command/outliers.h"
#include "protocol/base/plain_text.h"

namespace tributary {
namespace {

constexpr int kTries = 30;                        // after a connection broke
constexpr auto kPause = std::chrono::seconds(2);  // between two tries
constexpr uint64_t kBarWidth = 30;

bool IsTerminal(const std::string& state) { return state == "completed" || state == "failed" || state == "cancelled"; }

class RoundWatch {
 public:
  RoundWatch(const Context& context, ApiClient& client, std::string task)
      : context_(context), client_(client), task_(std::move(task)), line_(!context.json()) {}

  // Looks at the state and prints what is new. True while there is more to come.
  Result<bool> Look() {
    ASSIGN_OR_RETURN(const Json task, client_.Task(task_));
    goal_ = task.value(Json::json_pointer("/policy/report_goal"), uint64_t{0});
    ASSIGN_OR_RETURN(const Json rounds, client_.Rounds(task_));
    bool open = false;
    for (const auto& round : rounds["items"]) {
      last_state_ = round.value("state", "");
      last_round_ = round.value("number", uint64_t{0});
      if (IsTerminal(last_state_)) {
        PrintRound(round);
      } else {
        open = true;
      }
    }
    return open || task.value("rounds_wanted", 0) > 0;
  }

  // Takes note of the rounds that must not be printed, because they ended before.
  Status Prime(std::optional<uint64_t> first) {
    first_ = first.value_or(0);
    if (first) return {};
    ASSIGN_OR_RETURN(const Json rounds, client_.Rounds(task_));
    for (const auto& round : rounds["items"]) {
      if (IsTerminal(round.value("state", ""))) printed_[round.value("number", uint64_t{0})] = RenderLine(round);
    }
    return {};
  }

  void Progress(const Json& event) const {
    if (!event.is_object() || !event.value("round", Json()).is_number_unsigned()) return;
    line_.Show(event["round"], event.value("contributions", uint64_t{0}), goal_);
  }

  // A device that cannot train, or can again: long before the round ends for it.
  void TellOfDevice(const Json& event) const {
    if (context_.json() || !event.is_object() || !event.value("detail", Json()).is_string()) return;
    line_.Print("  device " + event["detail"].get<std::string>());
  }

  // Rounds are still wanted and will not come: the privacy budget is spent.
  void TellOfStop(const Json& event) {
    if (event.is_object() && event.value("detail", Json()).is_string()) stopped_ = event["detail"].get<std::string>();
  }

  const std::string& stopped() const { return stopped_; }
  const std::string& last_state() const { return last_state_; }
  uint64_t last_round() const { return last_round_; }

 private:
  static std::string RenderLine(const Json& round) {
    const auto field = [&round](const char* key) { return RenderValue(round.value(Json::json_pointer(key), Json())); };
    return fmt::format("round {}  {}  version {}  updates {}  refused {}  global {}  personal {}  bytes {}",
                       field("/number"), field("/state"), field("/result_version"), field("/contributions"),
                       field("/refused"), field("/metrics/global"), field("/metrics/personal"), field("/bytes_up")) +
           (round.value("shortfall", Json()).is_null() ? "" : "\n  " + field("/shortfall"));
  }

  void PrintRound(const Json& round) {
    const uint64_t number = round.value("number", uint64_t{0});
    if (number < first_) return;
    const std::string line = RenderLine(round);
    std::string& printed = printed_[number];
    if (printed == line) return;
    printed = line;
    line_.Print(context_.json() ? Dump(round) : line);
  }

  const Context& context_;
  ApiClient& client_;
  const std::string task_;
  const RoundLine line_;
  uint64_t goal_ = 0;
  uint64_t first_ = 0;  // rounds before it are not shown
  std::map<uint64_t, std::string> printed_;
  std::string last_state_;
  std::string stopped_;
  uint64_t last_round_ = 0;
};

// For each reason that devices say they cannot train the round's base version, what to do.
std::string RenderFailures(const Json& round) {
  std::string text;
  for (const auto& [code, count] : round.at("device_failures").items()) {
    const auto known = CodeByName(code);
    text += fmt::format("{} of the devices say {}\n", RenderValue(count), code);
    if (!known) continue;  // of a newer aggregator
    text +=
        fmt::format("  what happened  {}\n  what to do     {}\n", Describe(*known).sentence, Describe(*known).remedy);
  }
  if (!text.empty()) text += "'tributary devices list' says which devices, 'devices show' more of one.\n";
  return text;
}

// All that is known of it, and at the end of the devices that cannot train.
std::string RenderRound(const Json& round) {
  Json shown = round;
  // Deprecated; the metrics say it.
  for (const char* key : {"global_accuracy", "personal_accuracy", "local_global_accuracy"}) shown.erase(key);
  std::string text = RenderObject(shown);
  if (const std::string failures = RenderFailures(round); !failures.empty()) text += "\n" + failures;
  text.pop_back();
  return text;
}

// Follows a task's rounds: a line per round that ends (with --output json, its record) and per result that comes in
// afterwards, until no round is open or wanted. Rounds from `first` on are shown even if they have ended by now; without
// it only those that end from now on. Survives broken connections for up to a minute at a time. kConflict: the last
// round failed or was cancelled.
Status WatchRounds(const Context& context, const std::string& task, std::optional<uint64_t> first = std::nullopt) {
  ASSIGN_OR_RETURN(ApiClient events, context.Client());
  ASSIGN_OR_RETURN(ApiClient state, context.Client());  // the first one is busy with the stream
  RoundWatch watch(context, state, task);
  RETURN_IF_ERROR(watch.Prime(first));
  std::string last_id;
  for (int tries = kTries;;) {
    Status looked;
    const Status ended = events.Watch(task, last_id, [&](const std::string& name, const Json& event) {
      tries = kTries;
      if (name == "round.contribution") {
        watch.Progress(event);
        return true;
      }
      if (name == "device.failing" || name == "device.recovered") {
        watch.TellOfDevice(event);
        return true;
      }
      if (name == "rounds.stopped") watch.TellOfStop(event);
      const auto more = watch.Look();
      if (!more) looked = Fail(more.error());
      return more && *more;
    });
    if (!looked && !IsTransient(looked.error().code)) return looked;
    if (ended && looked) break;
    const Error error = ended ? looked.error() : ended.error();
    if (!IsTransient(error.code) || --tries < 0) return Fail(error);
    context.Say("connection lost ({}); rounds go on without it; trying again", error.message);
    std::this_thread::sleep_for(kPause);
  }
  if (!watch.stopped().empty()) return Fail(Code::kConflict, watch.stopped());
  if (watch.last_state() == "completed" || watch.last_state().empty()) return {};
  ASSIGN_OR_RETURN(const Json last, state.Round(task, watch.last_round()));
  if (!context.json()) context.Say("{}", RenderFailures(last));
  return Fail(Code::kConflict, "the last round {}; 'tributary rounds show {} {}' has more of it", watch.last_state(),
              task, watch.last_round());
}

struct RoundOptions {
  std::string task;
  uint64_t count = 1;  // of rounds to start
  bool watch = false;
};

Status StartRounds(const Context& context, const RoundOptions& options) {
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  ASSIGN_OR_RETURN(const Json round, client.StartRounds(options.task, options.count));
  if (!options.watch) context.PrintObject(round);
  if (const Json warning = round.value("warning", Json()); warning.is_string())
    context.Say("\nwarning: {}", warning.get<std::string>());
  if (!options.watch) return {};
  context.Say("round {} is open; Ctrl-C ends the watching, not the rounds", RenderValue(round.value("number", Json())));
  return WatchRounds(context, options.task, round.value("number", uint64_t{0}));
}

}  // namespace

RoundLine::RoundLine(bool live) : live_(live && isatty(STDOUT_FILENO) == 1) {}

void RoundLine::Show(uint64_t round, uint64_t contributions, uint64_t goal, const std::string& note) const {
  if (!live_) return;
  const uint64_t filled = goal == 0 ? 0 : std::min(contributions * kBarWidth / goal, kBarWidth);
  const std::string bar = std::string(filled, '#') + std::string(kBarWidth - filled, '.');
  std::cout << fmt::format("\r\033[Kround {}  [{}] {}/{} updates{}", round, bar, contributions, goal, PlainText(note))
            << std::flush;
}

void RoundLine::Print(const std::string& line) const {
  std::cout << (live_ ? "\r\033[K" : "") << PlainText(line, LineBreaks::kKept) << std::endl;
}

void AddRoundCommands(CLI::App& app, Context& context) {
  CLI::App* rounds =
      AddGroup(app, "rounds", "Training rounds of a task: start, list, show, watch, ask-again, pause, resume, cancel");

  const auto [start, options] =
      AddCommandWith<RoundOptions>(*rounds, context, "start", "Run rounds, one after the other", &StartRounds);
  start->add_option("task", options.task, "The task's name")->required();
  start->add_option("--count", options.count, "How many rounds to run")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  start->add_flag("--watch", options.watch, "Stay until they are done, with a line per round");

  CLI::App* list = rounds->add_subcommand("list", "All rounds of a task");
  auto task = RequiredName(*list, "task", "The task's name");
  list->callback(context.List(
      [task](ApiClient& client) { return client.Rounds(*task); },
      Columns("ROUND number, STATE state, BASE base_version, RESULT result_version, UPDATES contributions, "
              "REFUSED refused, GLOBAL metrics.global, PERSONAL metrics.personal, BYTES UP bytes_up, OPENED opened")));

  const auto number = std::make_shared<uint64_t>();
  CLI::App* show =
      rounds->add_subcommand("show", "One round: all its metrics, how it ended, and why devices cannot train");
  task = RequiredName(*show, "task", "The task's name");
  show->add_option("round", *number, "The round's number")->required()->check(CLI::PositiveNumber);
  show->footer(
      "metrics.global    the version that the round made, measured by evaluators on their own examples\n"
      "metrics.personal  the models that devices fine-tuned in this round, each on its own held-out examples\n"
      "metrics.local     the version that the round began with, on the same held-out examples");
  show->callback(
      context.Tell([task, number](ApiClient& client) { return client.Round(*task, *number); }, &RenderRound));

  CLI::App* outliers =
      rounds->add_subcommand("outliers", "Which updates of a round were unlike the others, by device and by gateway");
  task = RequiredName(*outliers, "task", "The task's name");
  outliers->add_option("round", *number, "The round's number")->required()->check(CLI::PositiveNumber);
  outliers->footer(
      "NORM      the size of the update as it came; TIMES, of how many of the round's medians that is\n"
      "DISTANCE  with the rule centred-clip, from the last aggregate\n"
      "COSINE    where it pointed: with centred-clip beside the last aggregate, with a rule that keeps updates beside "
      "their\n"
      "          mean, from 1 (the same way) to -1 (the opposite); the rule clip does not measure it\n"
      "The oddest come first. One such round proves nothing: a device whose data are unlike others' looks the same.");
  outliers->callback(context.Run([&context, task, number]() -> Status {
    ASSIGN_OR_RETURN(ApiClient client, context.Client());
    ASSIGN_OR_RETURN(const Json found, client.Round(*task, *number, "contributions"));
    const Outliers sorted = FindOutliers(found["items"]);
    if (context.json()) {
      context.PrintObject({{"items", sorted.devices}, {"gateways", sorted.gateways}});
      return {};
    }
    context.PrintList({{"items", sorted.devices}}, Columns("DEVICE device, GATEWAY gateway, WEIGHT weight, NORM norm, "
                                                           "TIMES times, DISTANCE distance, COSINE cosine"));
    context.Say("");
    context.PrintList(
        {{"items", sorted.gateways}},
        Columns("GATEWAY gateway, UPDATES updates, MEDIAN NORM median_norm, TIMES times, MEAN COSINE cosine"));
    return {};
  }));

  CLI::App* watch = rounds->add_subcommand("watch", "Follow the rounds until none is open or wanted");
  task = RequiredName(*watch, "task", "The task's name");
  watch->callback(context.Run([&context, task] { return WatchRounds(context, *task); }));

  CLI::App* again = rounds->add_subcommand(
      "ask-again", "Have devices work again on the open round's version: what they gave may be lost on the way");
  task = RequiredName(*again, "task", "The task's name");
  const auto device = std::make_shared<std::string>();
  again->add_option("--device", *device, "Only this one; without it all that do not count yet");
  again->footer("Nobody counts twice. A round that follows a failed one on the same version asks again by itself.");
  again->callback(context.Tell(
      [task, device](ApiClient& client) {
        const Json words = device->empty() ? Json::object() : Json{{"device", *device}};
        return client.DecideTask(*task, "rounds/ask-again", words);
      },
      [task, device](const Json& round) {
        return fmt::format("{} asked again for version {} of {}: they hear it at their next check-in",
                           device->empty() ? "devices that do not count yet are" : *device + " is",
                           round.value("base_version", uint64_t{0}), *task);
      }));

  CLI::App* pause = rounds->add_subcommand(
      "pause",
      "Let the rounds stand still: devices are told of none, the open one takes nothing in and its time does not run");
  task = RequiredName(*pause, "task", "The task's name");
  const auto reason = std::make_shared<std::string>();
  pause->add_option("--reason", *reason, "For the record: 1 to 256 bytes")->required();
  pause->callback(context.Tell(
      [task, reason](ApiClient& client) {
        return client.DecideTask(*task, "rounds/pause", {{"reason", *reason}});
      },
      [task](const Json&) {
        return fmt::format("the rounds of {} are paused; 'rounds resume' goes on with them", *task);
      }));

  CLI::App* resume = rounds->add_subcommand("resume", "Go on with rounds that were paused");
  task = RequiredName(*resume, "task", "The task's name");
  resume->callback(
      context.Tell([task](ApiClient& client) { return client.DecideTask(*task, "rounds/resume", Json::object()); },
                   [task](const Json& after) {
                     return fmt::format("the rounds of {} go on; {} more are wanted after the open one", *task,
                                        after.value("rounds_wanted", uint64_t{0}));
                   }));

  CLI::App* cancel =
      rounds->add_subcommand("cancel", "Cancel the open round and those still wanted; versions made so far stay");
  task = RequiredName(*cancel, "task", "The task's name");
  cancel->callback(
      context.Tell([task](ApiClient& client) { return client.DecideTask(*task, "rounds/cancel", Json::object()); },
                   [task](const Json& after) {
                     return fmt::format("task {} has no open round now; its version is {}", *task,
                                        RenderValue(after.value("latest_version", Json())));
                   }));
}

}  // namespace tributary

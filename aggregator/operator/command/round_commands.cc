#include <memory>

#include "aggregator/operator/command/commands.h"
#include "aggregator/operator/command/round_watch.h"

namespace tributary {
namespace {

struct StartOptions {
  std::string task;
  uint64_t count = 1;
  bool watch = false;
};

Status Start(const Context& context, const StartOptions& options) {
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  ASSIGN_OR_RETURN(const Json round, client.StartRounds(options.task, options.count));
  if (!options.watch) {
    context.PrintObject(round);
    return {};
  }
  context.Say("round " + RenderValue(round.value("number", Json())) +
              " is open; Ctrl-C ends the watching, not the rounds");
  return WatchRounds(context, options.task, round.value("number", uint64_t{0}));
}

}  // namespace

void AddRoundCommands(CLI::App& app, Context& context) {
  CLI::App* rounds = app.add_subcommand("rounds", "Training rounds of a task: start, list, watch, cancel");
  rounds->require_subcommand(1);

  const auto start = std::make_shared<StartOptions>();
  CLI::App* command = rounds->add_subcommand("start", "Run rounds, one after the other");
  command->add_option("task", start->task, "The task's name")->required();
  command->add_option("--count", start->count, "How many")->check(CLI::Range(1, 1'000'000))->capture_default_str();
  command->add_flag("--watch", start->watch, "Stay until they are done, with a line per round");
  command->callback(context.Run([&context, start] { return Start(context, *start); }));

  const auto task = std::make_shared<std::string>();
  CLI::App* list = rounds->add_subcommand("list", "All rounds of a task");
  list->add_option("task", *task, "The task's name")->required();
  list->callback(context.Run([&context, task]() -> Status {
    ASSIGN_OR_RETURN(ApiClient client, context.Client());
    ASSIGN_OR_RETURN(const Json all, client.Rounds(*task));
    context.PrintList(all, {{"ROUND", "number"},
                            {"STATE", "state"},
                            {"BASE", "base_version"},
                            {"RESULT", "result_version"},
                            {"REPORTS", "reports"},
                            {"REFUSED", "refused"},
                            {"GLOBAL", "global_accuracy"},
                            {"PERSONAL", "personal_accuracy"},
                            {"BYTES UP", "bytes_up"},
                            {"OPENED", "opened"}});
    return {};
  }));

  CLI::App* watch = rounds->add_subcommand("watch", "Follow the rounds until none is open or wanted");
  watch->add_option("task", *task, "The task's name")->required();
  watch->callback(context.Run([&context, task] { return WatchRounds(context, *task); }));

  CLI::App* cancel =
      rounds->add_subcommand("cancel", "Cancel the open round and those still wanted; versions made so far stay");
  cancel->add_option("task", *task, "The task's name")->required();
  cancel->callback(context.Run([&context, task]() -> Status {
    ASSIGN_OR_RETURN(ApiClient client, context.Client());
    ASSIGN_OR_RETURN(const Json after, client.CancelRounds(*task));
    if (context.json()) context.PrintObject(after);
    context.Say("task " + *task + " has no open round now; its version is " +
                RenderValue(after.value("latest_version", Json())));
    return {};
  }));
}

}  // namespace tributary

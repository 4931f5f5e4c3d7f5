#include "aggregator/operator/command/commands.h"

namespace tributary {
namespace {

Status ShowStatus(const Context& context) {
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  ASSIGN_OR_RETURN(const Json readiness, client.Readiness());
  ASSIGN_OR_RETURN(const Json tasks, client.Tasks());
  ASSIGN_OR_RETURN(const Json devices, client.Devices());
  ASSIGN_OR_RETURN(const Json gateways, client.Gateways());
  const bool ready = readiness.value("ready", false);
  Json summary = {{"url", context.url},
                  {"ready", ready},
                  {"devices", devices["items"].size()},
                  {"gateways", gateways["items"].size()}};
  if (context.json()) {
    summary["checks"] = readiness["checks"];
    summary["tasks"] = tasks["items"];
    context.PrintObject(summary);
  } else {
    context.PrintObject(summary);
    for (const auto& check : readiness.value("checks", Json::array())) {
      if (!check.value("ok", false)) {
        context.Say("not ready: " + check.value("name", "") + ": " + check.value("why", "") +
                    "\n  what to do: " + check.value("remedy", ""));
      }
    }
    context.Say("");
    context.PrintList(tasks, {{"TASK", "id"},
                              {"VERSION", "latest_version"},
                              {"ROUNDS WANTED", "rounds_wanted"},
                              {"PARAMETERS", "parameters"}});
  }
  if (!ready) return Fail(Code::kBusy, "the aggregator at " + context.url + " is not ready");
  return {};
}

}  // namespace

void AddStatusCommand(CLI::App& app, Context& context) {
  app.add_subcommand("status", "Whether the aggregator is ready, and what it works on")
      ->callback(context.Run([&context] { return ShowStatus(context); }));
}

}  // namespace tributary

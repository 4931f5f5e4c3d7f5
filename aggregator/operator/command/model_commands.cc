#include <iostream>
#include <memory>

#include "aggregator/operator/command/commands.h"
#include "aggregator/operator/command/model_export.h"

namespace tributary {
namespace {

Status Export(const Context& context, const ExportOptions& options) {
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  ASSIGN_OR_RETURN(const ExportedModel model, ExportModel(client, options));
  const std::string number = std::to_string(model.version);
  if (context.json()) {
    context.PrintObject({{"task", options.task},
                         {"version", model.version},
                         {"weights", model.weights.hex()},
                         {"file", options.out.string()}});
  }
  context.Say(options.task + " version " + number + " is in " + options.out.string() +
              "; open it with torch.jit.load(\"" + options.out.string() + "\")");
  return {};
}

}  // namespace

void AddModelCommands(CLI::App& app, Context& context) {
  CLI::App* models = app.add_subcommand("models", "Model versions of a task: list and export");
  models->require_subcommand(1);

  const auto task = std::make_shared<std::string>();
  CLI::App* list = models->add_subcommand("list", "All versions of a task");
  list->add_option("task", *task, "The task's name")->required();
  list->callback(context.Run([&context, task]() -> Status {
    ASSIGN_OR_RETURN(ApiClient client, context.Client());
    ASSIGN_OR_RETURN(const Json all, client.Versions(*task));
    context.PrintList(all, {{"VERSION", "version"},
                            {"WEIGHTS", "weights.digest"},
                            {"BYTES", "weights.size"},
                            {"PARENT", "parent"},
                            {"ROUND", "round"},
                            {"CREATED", "created"}});
    return {};
  }));

  const auto options = std::make_shared<ExportOptions>();
  CLI::App* command = models->add_subcommand("export", "Write a version as TorchScript that torch.jit.load opens");
  command->add_option("task", options->task, "The task's name")->required();
  command->add_option("--version", options->version, "Its number; without it, the latest")->check(CLI::PositiveNumber);
  command->add_option("--out", options->out, "The file to write")->required();
  command->callback(context.Run([&context, options] { return Export(context, *options); }));
}

}  // namespace tributary

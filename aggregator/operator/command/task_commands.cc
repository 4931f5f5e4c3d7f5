#include <memory>
#include <span>

#include "aggregator/operator/command/commands.h"
#include "aggregator/operator/command/task_plan.h"
#include "protocol/base/limits.h"
#include "protocol/catalogue/model_package.h"

namespace tributary {
namespace {

struct CreateOptions {
  std::string name;
  Path package;
  Path plan;
};

Status Create(const Context& context, const CreateOptions& options) {
  TaskRequest request;
  ASSIGN_OR_RETURN(request.task.id, TaskId::Parse(options.name));
  // The plan first: a mistake in it is found before anything is sent.
  if (!options.plan.empty()) RETURN_IF_ERROR(ReadTaskPlan(options.plan, request.task));
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(RealFileSystem(), options.package, limits::kBlobBytes));
  ASSIGN_OR_RETURN(const ModelPackage package, DecodeModelPackage(bytes));
  request.task.table = package.table;
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  ASSIGN_OR_RETURN(request.task.module, client.PutBlob(package.module));
  ASSIGN_OR_RETURN(const BlobRef weights, client.PutBlob(AsBytes(std::span<const float>(package.weights))));
  request.weights = weights.digest;
  ASSIGN_OR_RETURN(const Json task, client.CreateTask(request));
  context.PrintObject(task);
  context.Say("\nStart training with: tributary rounds start " + options.name + " --count 10 --watch");
  return {};
}

}  // namespace

void AddTaskCommands(CLI::App& app, Context& context) {
  CLI::App* tasks = app.add_subcommand("task", "What is learned: create, list and show tasks");
  tasks->require_subcommand(1);

  const auto create = std::make_shared<CreateOptions>();
  CLI::App* command = tasks->add_subcommand("create", "Create a task from a model package");
  command->add_option("name", create->name, "1 to 64 of a-z 0-9 . _ -")->required();
  command->add_option("--package", create->package, "What 'tributary-device pack model.pt' wrote")->required();
  command->add_option("--plan", create->plan, "TOML with [training], [round] and [bounds]; without it, the defaults");
  command->footer("Keys of a plan (the default and the bounds in brackets):\n" + TaskPlanManual() +
                  "\nFor example:\n"
                  "  [training]\n  learning_rate = 0.05\n  epochs = 2\n"
                  "  [round]\n  report_goal = 20\n  minimum = 15\n  deadline_seconds = 600\n");
  command->callback(context.Run([&context, create] { return Create(context, *create); }));

  tasks->add_subcommand("list", "All tasks")->callback(context.Run([&context]() -> Status {
    ASSIGN_OR_RETURN(ApiClient client, context.Client());
    ASSIGN_OR_RETURN(const Json list, client.Tasks());
    context.PrintList(list, {{"TASK", "id"},
                             {"VERSION", "latest_version"},
                             {"ROUNDS WANTED", "rounds_wanted"},
                             {"PARAMETERS", "parameters"},
                             {"CREATED", "created"}});
    return {};
  }));

  const auto name = std::make_shared<std::string>();
  CLI::App* show = tasks->add_subcommand("show", "One task with its plan, policy and bounds");
  show->add_option("task", *name, "The task's name")->required();
  show->callback(context.Run([&context, name]() -> Status {
    ASSIGN_OR_RETURN(ApiClient client, context.Client());
    ASSIGN_OR_RETURN(const Json task, client.Task(*name));
    context.PrintObject(task);
    return {};
  }));
}

}  // namespace tributary

#include "aggregator/operator/command/task_commands.h"

#include <unistd.h>

#include <memory>
#include <optional>
#include <span>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "aggregator/api/json_tasks.h"
#include "aggregator/operator/command/child_process.h"
#include "protocol/base/limits.h"
#include "protocol/base/process/config.h"
#include "protocol/catalogue/module_archive.h"
#include "protocol/catalogue/npz_file.h"
#include "protocol/plan/field_json.h"

namespace tributary {
namespace {

// ---- tasks

struct TaskOptions {
  std::string name;
  Path package;
  Path plan;
};

Status CreateTask(const Context& context, const TaskOptions& options) {
  TaskRecord task;
  ASSIGN_OR_RETURN(task.id, TaskId::Parse(options.name));
  // The plan first: a mistake in it is found before anything is sent.
  if (!options.plan.empty()) RETURN_IF_ERROR(ReadTaskPlan(options.plan, task));
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  ASSIGN_OR_RETURN(const ModelPackage package, ReadModelPackage(options.package));
  ASSIGN_OR_RETURN(Json made, CreateTaskOfPackage(client, std::move(task), package));
  const auto own_loss = HasMethod(package.module, "loss");
  if (own_loss && *own_loss && !context.json()) made["plan"]["loss"] = "the model's own";
  context.PrintObject(made);
  if (made.value("warning", Json()).is_string()) context.Say("\nMind: " + made["warning"].get<std::string>());
  context.Say("\nStart training with: tributary rounds start " + options.name + " --count 10 --watch");
  return {};
}

struct SettingsOptions {
  std::string task;
  Path plan;
};

Status SetSettings(const Context& context, const SettingsOptions& options) {
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  ASSIGN_OR_RETURN(const Json before, client.Task(options.task));
  const Json& next = before.value("next_settings", Json());
  const Json& now = next.is_object() ? next : before;
  RoundSettings settings;
  const auto read = [&](const char* member, const std::vector<Field>& fields) -> Status {
    return FieldsFromJson(now.value(member, Json::object()), member, fields);
  };
  RETURN_IF_ERROR(read("policy", FieldsOf(settings.policy)));
  RETURN_IF_ERROR(read("server_optimizer", FieldsOf(settings.server_optimizer)));
  ASSIGN_OR_RETURN(ConfigReader config, ConfigReader::Load(options.plan));
  config.Read(FieldsOf(settings.policy), "round");
  config.Read(FieldsOf(settings.server_optimizer), "server_optimizer");
  RETURN_IF_ERROR(config.Finish());
  ASSIGN_OR_RETURN(const Json after, client.DecideTask(options.task, "settings", Json::parse(ToJson(settings))));
  context.PrintObject(after);
  if (after.value("next_settings", Json()).is_object())
    context.Say("\nThe open round goes on as it began; the next one follows next_settings");
  return {};
}

// The API does not say which methods the module has.
std::string RenderTask(const Json& task) {
  Json shown = task;
  Json& loss = shown["plan"]["loss"];
  loss = RenderValue(loss) + " (unless the model has its own)";
  std::string text = RenderObject(shown);
  text.pop_back();
  return text;
}

void AddTasks(CLI::App& app, Context& context) {
  CLI::App* tasks =
      AddGroup(app, "task", "Create, list, show and change tasks: a task is a model to train, with its plan");

  const auto [create, options] =
      AddCommandWith<TaskOptions>(*tasks, context, "create", "Create a task from a model package", &CreateTask);
  create->add_option("name", options.name, "The task's name: 1 to 64 of a-z 0-9 . _ -")->required();
  create->add_option("--package", options.package, "The package that 'tributary-device pack model.pt' wrote")
      ->required();
  create->add_option("--plan", options.plan,
                     "TOML file with [training], [round], [server_optimizer], [robust] and [bounds]; the defaults are "
                     "used without it");
  create->footer("Keys of a plan (the default and the bounds in brackets):\n" + TaskPlanManual() +
                 "\nFor example:\n"
                 "  [training]\n  learning_rate = 0.05\n  epochs = 2\n"
                 "  [round]\n  report_goal = 20\n  minimum = 15\n  deadline_seconds = 600\n"
                 "  [server_optimizer]\n  name = \"fedadam\"\n");

  const auto [settings, change] = AddCommandWith<SettingsOptions>(
      *tasks, context, "set", "Change a task's round policy or server optimiser, from its next round on", &SetSettings);
  settings->add_option("task", change.task, "The task's name")->required();
  settings
      ->add_option("--plan", change.plan,
                   "TOML file with [round], [server_optimizer] or both; keys that are not there stay as they are")
      ->required();
  settings->footer("All else of a task is part of what devices were told of it: it needs a new task.");

  tasks->add_subcommand("list", "All tasks")
      ->callback(
          context.List(&ApiClient::Tasks, Columns("TASK id, VERSION latest_version, ROUNDS WANTED rounds_wanted, "
                                                  "PARAMETERS parameters, CREATED created")));

  CLI::App* show = tasks->add_subcommand("show", "One task with its manifest, plan, policy and bounds");
  const auto name = RequiredName(*show, "task", "The task's name");
  show->callback(context.Tell([name](ApiClient& client) { return client.Task(*name); }, &RenderTask));
}

// ---- models

// A folder beside the target for the parts of a model; it is removed at the end of the scope.
class WorkFolder {
 public:
  explicit WorkFolder(Path path) : path_(std::move(path)) {}
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  ~WorkFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const Path& path() const { return path_; }

 private:
  Path path_;
};

Result<Digest> DigestAt(const Json& object, const char* key) {
  if (!object.contains(key) || !object[key].is_object()) return Fail(Code::kMalformed, "the answer has no {}", key);
  return Digest::FromHex(object[key].value("digest", ""));
}

// A task without a module is its arrays.
Status WriteArrays(const Json& task, const Path& weights, const Path& out) {
  TensorTable table;
  for (const Json& tensor : task.value("tensors", Json::array())) {
    TensorEntry entry{tensor.value("name", ""), tensor.value("shape", std::vector<int64_t>()), table.parameter_count()};
    ASSIGN_OR_RETURN(entry.size, ElementsOf(entry));
    table.tensors.push_back(std::move(entry));
  }
  RETURN_IF_ERROR(CheckTensorTable(table));
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(RealFileSystem(), weights, limits::kBlobBytes));
  ASSIGN_OR_RETURN(const auto values, ToFloats(bytes, table.parameter_count()));
  ASSIGN_OR_RETURN(const Bytes file, EncodeNpz(table, values));
  return WriteFileAtomically(RealFileSystem(), out, file);
}

Status SaveModel(const Context& context, const ExportOptions& options) {
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  ASSIGN_OR_RETURN(const ExportedModel model, ExportModel(client, options));
  const std::string file = options.out.string();
  context.PrintOutcome(
      {{"task", options.task}, {"version", model.version}, {"weights", model.weights.hex()}, {"file", file}},
      "{0} version {1} is in {2}; open it with {3}(\"{2}\")", options.task, model.version, file,
      model.is_arrays ? "numpy.load" : "torch.jit.load");
  if (!model.note.empty()) context.Say(model.note);
  return {};
}

// Of the versions that evaluators measured, the best by the first metric that the task's manifest names, or else by the
// loss. Null: there is none.
struct BestVersion {
  std::string metric = "loss";
  std::string direction = "smaller";
  Json version;

  BestVersion(const Json& task, const Json& versions) {
    const Json declared = task.value(Json::json_pointer("/manifest/metrics"), Json::object());
    if (!declared.empty()) {
      metric = declared.begin().key();
      direction = declared.begin().value().get<std::string>();
    }
    std::optional<double> best;
    for (const Json& one : versions) {
      const Json means = one.value(Json::json_pointer("/metrics/global"), Json::object());
      if (!means.contains(metric)) continue;
      const double mean = means[metric].get<double>();
      if (best && !(direction == "larger" ? mean > *best : mean < *best)) continue;
      best = mean;
      version = one.value("version", Json());
    }
  }
};

Status ListModels(const Context& context, const std::string& task) {
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  ASSIGN_OR_RETURN(const Json shown, client.Task(task));
  ASSIGN_OR_RETURN(const Json versions, client.Versions(task));
  context.PrintList(versions,
                    Columns("VERSION version, WEIGHTS weights.digest, BYTES weights.size, PARENT parent, ROUND "
                            "round, GLOBAL metrics.global, PERSONAL metrics.personal, CREATED created, RESTORES "
                            "restores, REASON reason, PINNED pinned, PRUNED pruned"));
  const BestVersion best(shown, versions["items"]);
  if (!best.version.is_null()) {
    context.Say(fmt::format("\nEvaluators measured the best {} ({} is better) of version {}", best.metric,
                            best.direction, RenderValue(best.version)));
  }
  return {};
}

// Whether the server's optimiser of this task keeps something with each version.
bool KeepsSomething(const Json& task) {
  const auto is = [&](const char* field, const char* value) {
    return task.value(Json::json_pointer(field), std::string(value)) == value;
  };
  return !is("/server_optimizer/name", "fedavg") || !is("/server_optimizer/schedule", "constant");
}

// A line for each view, group and metric.
Json LinesOfSpread(const Json& answer) {
  Json lines = Json::array();
  const auto add = [&](const std::string& view, const std::string& group, const Json& metrics) {
    for (const auto& [metric, spread] : metrics.items()) {
      Json line = {{"view", view}, {"group", group}, {"metric", metric}};
      line.update(spread);
      lines.push_back(std::move(line));
    }
  };
  for (const char* view : {"global", "local", "personal"}) {
    const Json of = answer.value(view, Json::object());
    add(view, "all", of.value("all", Json::object()));
    for (const auto& [key, word] : {std::pair("by_class", "class "), std::pair("by_label", "label ")}) {
      const Json groups = of.value(key, Json::object());
      for (const auto& [name, metrics] : groups.items()) add(view, word + name, metrics);
    }
  }
  return {{"items", std::move(lines)}};
}

struct RollbackOptions {
  std::string task;
  uint64_t to = 0;
  std::string reason;
};

Status RollBackModel(const Context& context, const RollbackOptions& options) {
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  const Json wanted = {{"to", options.to}, {"reason", options.reason}};
  ASSIGN_OR_RETURN(const Json made, client.DecideTask(options.task, "rollback", wanted));
  context.PrintObject(made);
  context.Say("\nDevices train from version {} on, which has the weights of version {}",
              RenderValue(made.value("version", Json())), options.to);
  if (made.value("optimizer_state", Json()).is_null()) {
    ASSIGN_OR_RETURN(const Json task, client.Task(options.task));
    if (KeepsSomething(task))
      context.Say("The server's optimiser kept nothing with version {}: it begins anew", options.to);
  }
  return {};
}

struct PinOptions {
  std::string task;
  uint64_t version = 0;
  std::string reason;
};

template <bool kPin>
Status PinModel(const Context& context, const PinOptions& options) {
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  ASSIGN_OR_RETURN(
      const Json made,
      client.DecideTask(options.task, fmt::format("versions/{}/{}", options.version, kPin ? "pin" : "unpin"),
                        {{"reason", options.reason}}));
  context.PrintObject(made);
  return {};
}

struct PruneOptions {
  std::string task;
  uint64_t keep = 100;
};

Status PruneModels(const Context& context, const PruneOptions& options) {
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  ASSIGN_OR_RETURN(const Json made, client.DecideTask(options.task, "prune", {{"keep", options.keep}}));
  context.PrintOutcome(made, "The weights of {} versions of {} were removed, {} bytes", made.value("versions", 0),
                       options.task, made.value("bytes", uint64_t{0}));
  return {};
}

void AddRetention(CLI::App& models, Context& context) {
  const auto add_pin = [&](const std::string& name, const std::string& what, auto run) {
    const auto [pin, options] = AddCommandWith<PinOptions>(models, context, name, what, run);
    pin->add_option("task", options.task, "The task's name")->required();
    pin->add_option("version", options.version, "The version's number")->required()->check(CLI::PositiveNumber);
    pin->add_option("--reason", options.reason, "For the record: 1 to 256 bytes")->required();
  };
  add_pin("pin", "Keep a version's weights whatever its age", &PinModel<true>);
  add_pin("unpin", "Let a version's weights go when they are old", &PinModel<false>);

  const auto [prune, options] = AddCommandWith<PruneOptions>(
      models, context, "prune",
      "Remove the weights of old versions now; those that are pinned or in use stay, and so do all lines of the list",
      &PruneModels);
  prune->add_option("task", options.task, "The task's name")->required();
  prune->add_option("--keep", options.keep, "How many of the newest versions stay, 8 or more [100]")
      ->check(CLI::PositiveNumber);
}

void AddModels(CLI::App& app, Context& context) {
  CLI::App* models =
      AddGroup(app, "models", "Model versions of a task: list, show, manifest, export, roll back, pin and prune");

  CLI::App* list = models->add_subcommand("list", "All versions of a task");
  const auto task = RequiredName(*list, "task", "The task's name");
  list->callback(context.Run([&context, task] { return ListModels(context, *task); }));

  CLI::App* show = models->add_subcommand(
      "show",
      "One version: its lineage, its metrics, its weights and what the server's optimiser goes on from, by digest");
  const auto of = RequiredName(*show, "task", "The task's name");
  const auto number = std::make_shared<uint64_t>();
  show->add_option("version", *number, "The version's number")->required()->check(CLI::PositiveNumber);
  show->callback(context.Show(
      [of, number](ApiClient& client) { return client.OfTask(*of, fmt::format("versions/{}", *number)); }));

  CLI::App* manifest = models->add_subcommand("manifest",
                                              "What a version was made of, signed: contributions, refusals, gateways, "
                                              "digests, and the root of the tree by which "
                                              "a device proves that its update is in it");
  const auto made = RequiredName(*manifest, "task", "The task's name");
  const auto made_number = std::make_shared<uint64_t>();
  manifest->add_option("version", *made_number, "The version's number")->required()->check(CLI::PositiveNumber);
  manifest->callback(context.Show([made, made_number](ApiClient& client) {
    return client.OfTask(*made, fmt::format("versions/{}/manifest", *made_number));
  }));

  CLI::App* spread =
      models->add_subcommand("spread", "How what members measured of a version lies, by class and label");
  const auto measured = RequiredName(*spread, "task", "The task's name");
  const auto version = std::make_shared<uint64_t>();
  spread->add_option("version", *version, "The version's number")->required()->check(CLI::PositiveNumber);
  spread->footer(
      "VIEW      global: the version, by evaluators; local: the version, by devices on their held-out examples; "
      "personal: the\n"
      "          models that devices fine-tuned from it, on the same\n"
      "WEIGHTED  the mean by what members weigh; MEAN and DEVIATION count each member the same\n"
      "WORST 10% the mean of the worst tenth of the members, at least one");
  spread->callback(context.List(
      [measured, version](ApiClient& client) -> Result<Json> {
        ASSIGN_OR_RETURN(const Json answer, client.OfTask(*measured, fmt::format("versions/{}/spread", *version)));
        return LinesOfSpread(answer);
      },
      Columns(
          "VIEW view, GROUP group, METRIC metric, MEMBERS members, WEIGHTED weighted, MEAN mean, DEVIATION deviation, "
          "LEAST least, MOST most, WORST 10% worst_tenth")));

  const auto [save, options] = AddCommandWith<ExportOptions>(
      *models, context, "export",
      "Write a version as TorchScript that torch.jit.load opens, or, of a task without a module, as .npz", &SaveModel);
  save->add_option("task", options.task, "The task's name")->required();
  save->add_option("--version", options.version, "The version's number [the latest]")->check(CLI::PositiveNumber);
  save->add_option("--out", options.out, "The file to write")->required();

  const auto [back, rollback] =
      AddCommandWith<RollbackOptions>(*models, context, "rollback",
                                      "Publish a new version with the weights of an old one. The open round is "
                                      "cancelled and its updates are lost; rounds "
                                      "still wanted start from the new version",
                                      &RollBackModel);
  back->add_option("task", rollback.task, "The task's name")->required();
  back->add_option("--to", rollback.to, "The old version's number")->required()->check(CLI::PositiveNumber);
  back->add_option("--reason", rollback.reason, "For the record: 1 to 256 bytes")->required();
  AddRetention(*models, context);
}

}  // namespace

Result<ModelPackage> ReadModelPackage(const Path& file) {
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(RealFileSystem(), file, limits::kBlobBytes));
  auto package = DecodeModelPackage(bytes);
  if (package) return package;
  return Fail(Code::kInvalidArgument, "{} is no model package: {}. Make one with tributary-device pack", file.string(),
              package.error().message);
}

Result<Json> CreateTaskOfPackage(ApiClient& client, TaskRecord task, const ModelPackage& package) {
  task.table = package.table;
  task.manifest = package.manifest;
  ASSIGN_OR_RETURN(task.module, client.PutBlob(package.module));
  ASSIGN_OR_RETURN(const BlobRef weights, client.PutBlob(AsBytes(std::span<const float>(package.weights))));
  return client.CreateTask({std::move(task), weights.digest});
}

Result<ExportedModel> ExportModel(ApiClient& client, const ExportOptions& options) {
  ASSIGN_OR_RETURN(const Json task, client.Task(options.task));
  const bool has_module = task.value(Json::json_pointer("/manifest/module"), "") != "none";
  // The program is looked for early: it is the likeliest thing to be missing.
  const auto device = FindProgram("tributary-device");
  if (has_module && !device) {
    return Fail(Code::kNotFound, "{}; exporting needs it, since only it links LibTorch. Install it on this machine",
                device.error().message);
  }
  uint64_t number = options.version;
  if (number == 0 && task.contains("latest_version") && task["latest_version"].is_number_unsigned())
    number = task["latest_version"];
  ASSIGN_OR_RETURN(const Json version, client.OfTask(options.task, fmt::format("versions/{}", number)));
  ASSIGN_OR_RETURN(const Digest module, DigestAt(task, "module"));
  ASSIGN_OR_RETURN(const Digest weights, DigestAt(version, "weights"));

  Path beside = options.out;
  beside += ".export-" + std::to_string(getpid());
  const WorkFolder work(beside);
  RETURN_IF_ERROR(RealFileSystem().CreateFolders(work.path()));
  RETURN_IF_ERROR(client.GetBlob(weights, work.path() / "weights.f32"));
  if (!has_module) {
    RETURN_IF_ERROR(WriteArrays(task, work.path() / "weights.f32", options.out));
    return ExportedModel{number, weights, "", /*is_arrays=*/true};
  }
  RETURN_IF_ERROR(client.GetBlob(module, work.path() / "module.pt"));
  ASSIGN_OR_RETURN(
      ChildProcess child,
      ChildProcess::Start({.argv = {device->string(), "export", "--module", work.path() / "module.pt", "--weights",
                                    work.path() / "weights.f32", "--out", work.path() / "model.pt"},
                           .log = work.path() / "log",
                           .folder = {}}));
  if (const int code = child.Wait(); code != 0) {
    const auto log = ReadFile(RealFileSystem(), work.path() / "log", 1'000'000);
    return Fail(Code::kChildFailed, "{} export ended with {}: {}", device->string(), code,
                log ? AsText(*log) : log.error().message);
  }
  const auto said = ReadFile(RealFileSystem(), work.path() / "log", 1'000'000);
  RETURN_IF_ERROR(RealFileSystem().Rename(work.path() / "model.pt", options.out));
  std::string note(said ? AsText(*said) : std::string_view());
  while (note.ends_with('\n')) note.pop_back();
  return ExportedModel{number, weights, note};
}

void AddTaskCommands(CLI::App& app, Context& context) {
  AddTasks(app, context);
  AddModels(app, context);
}

Status ReadTaskPlan(const Path& file, TaskRecord& task) {
  ASSIGN_OR_RETURN(ConfigReader config, ConfigReader::Load(file));
  for (const TaskSection& section : SectionsOf(task)) config.Read(section.fields, section.table);
  RETURN_IF_ERROR(config.Finish());
  return CheckServerOptimizer(task.server_optimizer);
}

std::string TaskPlanManual() {
  TaskRecord defaults;
  std::string manual;
  for (const TaskSection& section : SectionsOf(defaults)) manual += FieldsManual(section.fields, section.table);
  return manual;
}

}  // namespace tributary

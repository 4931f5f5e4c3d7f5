#include <iostream>
#include <memory>

#include "aggregator/cli/child_process.h"
#include "aggregator/cli/commands.h"

namespace tributary {
namespace {

struct ExportOptions {
  std::string task;
  uint64_t version = 0;  // 0: the latest
  Path out;
};

// A folder beside the target for what is only needed on the way; gone at the end of the scope.
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
  if (!object.contains(key) || !object[key].is_object())
    return Fail(Code::kMalformed, std::string("the answer has no ") + key);
  return Digest::FromHex(object[key].value("digest", ""));
}

Status Export(const Context& context, const ExportOptions& options) {
  // Before anything is downloaded, since it is the likelier thing to be missing.
  const auto device = FindProgram("tributary-device");
  if (!device) {
    return Fail(Code::kNotFound, device.error().message +
                                     "; exporting needs it, since only it links LibTorch. Install it on this machine");
  }
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  ASSIGN_OR_RETURN(const Json task, client.Task(options.task));
  uint64_t number = options.version;
  if (number == 0 && task.contains("latest_version") && task["latest_version"].is_number_unsigned())
    number = task["latest_version"];
  ASSIGN_OR_RETURN(const Json version, client.Version(options.task, number));
  ASSIGN_OR_RETURN(const Digest module, DigestAt(task, "module"));
  ASSIGN_OR_RETURN(const Digest weights, DigestAt(version, "weights"));

  Path beside = options.out;
  beside += ".export-" + std::to_string(getpid());
  const WorkFolder work(beside);
  RETURN_IF_ERROR(RealFileSystem().CreateFolders(work.path()));
  RETURN_IF_ERROR(client.GetBlob(module, work.path() / "module.pt"));
  RETURN_IF_ERROR(client.GetBlob(weights, work.path() / "weights.f32"));
  ASSIGN_OR_RETURN(
      ChildProcess child,
      ChildProcess::Start({.argv = {device->string(), "export", "--module", work.path() / "module.pt", "--weights",
                                    work.path() / "weights.f32", "--out", work.path() / "model.pt"},
                           .log = work.path() / "log",
                           .folder = {}}));
  if (const int code = child.Wait(); code != 0) {
    const auto log = ReadFile(RealFileSystem(), work.path() / "log", 1'000'000);
    return Fail(Code::kChildFailed, device->string() + " export ended with " + std::to_string(code) + ": " +
                                        (log ? std::string(AsText(*log)) : log.error().message));
  }
  RETURN_IF_ERROR(RealFileSystem().Rename(work.path() / "model.pt", options.out));
  if (context.json())
    context.PrintObject(
        {{"task", options.task}, {"version", number}, {"weights", weights.hex()}, {"file", options.out.string()}});
  context.Say(options.task + " version " + std::to_string(number) + " is in " + options.out.string() +
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

#include "aggregator/operator/command/model_export.h"

#include <unistd.h>

#include "aggregator/operator/demo/child_process.h"

namespace tributary {
namespace {

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

}  // namespace

Result<ExportedModel> ExportModel(ApiClient& client, const ExportOptions& options) {
  // Before anything is downloaded, since it is the likelier thing to be missing.
  const auto device = FindProgram("tributary-device");
  if (!device) {
    return Fail(Code::kNotFound, device.error().message +
                                     "; exporting needs it, since only it links LibTorch. Install it on this machine");
  }
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
  return ExportedModel{number, weights};
}

}  // namespace tributary

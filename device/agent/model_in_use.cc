#include "device/agent/model_in_use.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "device/agent/device_event.h"
#include "protocol/catalogue/publication_store.h"
#include "protocol/payload/update_codec.h"

namespace tributary {
namespace {

constexpr const char* kPublication = "publication.bin";
constexpr const char* kPersonal = "personal";

// A file that is written anew is another one.
std::string StampOf(const Path& path) {
  struct stat found;
  if (stat(path.c_str(), &found) != 0) return "-";
  return fmt::format("{}.{}.{}", found.st_ino, found.st_mtim.tv_sec, found.st_mtim.tv_nsec);
}

}  // namespace

ModelInUse::ModelInUse(FileSystem& files, Path folder, TrustAnchor anchor)
    : files_(files), folder_(std::move(folder)), anchor_(std::move(anchor)), personal_(files, folder_ / kPersonal) {}

Result<ModelToUse> ModelInUse::Read(const TaskId& task, const DeviceId& device) const {
  const auto kept = PublicationStore::ReadAdopted(files_, folder_ / kPublication, anchor_);
  if (!kept && kept.error().code == Code::kNotFound)
    return Fail(Code::kNotFound,
                "no version of a model is here yet; it comes when the device is connected to its fleet");
  if (!kept) return Fail(kept.error());
  const auto found = std::ranges::find(kept->tasks, task, &PublishedTask::id);
  if (found == kept->tasks.end())
    return Fail(Code::kUnknownTask, "the fleet publishes no task {}, as far as this device knows", task.text());
  ModelToUse use{*found, device, {}, {}, std::nullopt};
  ASSIGN_OR_RETURN(const BlobStore blobs, BlobStore::Open(files_, folder_ / "blobs"));
  ASSIGN_OR_RETURN(use.module, blobs.ReadAll(found->module.digest));
  ASSIGN_OR_RETURN(const Bytes weights, blobs.ReadAll(found->weights.digest));
  ASSIGN_OR_RETURN(use.weights, ToFloats(weights, found->table.parameter_count()));
  ASSIGN_OR_RETURN(use.personal, PersonalInUse(personal_, *found));
  return use;
}

std::string ModelInUse::Stamp() const {
  std::string stamp = StampOf(folder_ / kPublication);
  // The folder's own time would not do: it ticks every few milliseconds only.
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder_ / kPersonal, error), end; !error && entry != end;
       entry.increment(error))
    stamp += " " + entry->path().filename().string() + "." + StampOf(entry->path());
  return stamp;
}

Predictions::Predictions(const Parts& parts, Path folder, const TrustAnchor& anchor, DeviceId device)
    : parts_(parts), models_(parts.files, std::move(folder), anchor), device_(std::move(device)) {}

Result<ModelToUse> Predictions::Read(const TaskId& task) const {
  ASSIGN_OR_RETURN(ModelToUse use, models_.Read(task, device_));
  if (!NeedsExamples(use.task.manifest)) return use;
  ASSIGN_OR_RETURN(TaskExamples own, parts_.examples.Load(use.task.manifest));
  // An evaluator keeps all that it has for evaluation.
  use.scaled_by = std::move(own.training.size() > 0 ? own.training : own.held_out);
  return use;
}

Result<Prediction> Predictions::Predict(const TaskId& task, ExampleSet inputs) {
  auto found = predictors_.find(task);
  if (found == predictors_.end()) {
    found = predictors_.try_emplace(task, parts_.learner, parts_.clock, [this, task] { return Read(task); }).first;
  }
  // Before the model is read: what comes meanwhile is another stamp.
  const std::string stamp = models_.Stamp();
  auto prediction = found->second.Predict(std::move(inputs), stamp);
  return prediction;
}

void Predictions::LetGoWhenIdle() {
  for (auto& [task, predictor] : predictors_) predictor.LetGoWhenIdle();
}

}  // namespace tributary

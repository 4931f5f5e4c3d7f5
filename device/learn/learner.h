#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "device/examples/example_set.h"
#include "device/learn/personal_model.h"
#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/publication.h"
#include "protocol/payload/evaluation.h"
#include "protocol/payload/update_codec.h"
#include "protocol/plan/task_manifest.h"

namespace tributary {

// The result of one local fit.
struct Learned {
  UpdateMeta meta;
  std::vector<float> delta;  // fine-tuned minus base, parameter_count values
  // The version, and the model that the device now uses for itself, on the held-out share; empty when nothing is held out.
  std::vector<EvaluationResult> evaluations;
  // For the device itself; nullopt: this learner keeps none.
  std::optional<PersonalModel> personal = {};
};

// The work of a learner: one version of one task. Borrows everything.
struct LearnOrder {
  const PublishedTask& task;
  const DeviceId& device;
  ByteView module;                          // task.module
  std::span<const float> weights;           // of task.latest, parameter_count values
  const PersonalModel* personal = nullptr;  // that the device has kept; nullptr: none
};

struct LearnHooks {
  // Asked now and then, at least every 100 ms; true ends the work with kShuttingDown.
  std::function<bool()> cancelled = [] { return false; };
  // Steps done of the fit, and the loss of the last one.
  std::function<void(uint64_t steps, double loss)> progress = [](uint64_t, double) {};
};

// A tensor that a model gave, and its values in C order.
struct OutputTensor {
  TaskOutput description;  // its shape is whole
  Bytes values;
};

// The answer of a model to some examples.
struct Prediction {
  EvaluatedModel model = EvaluatedModel::kGlobal;  // kPersonal: with tensors of the device's own
  ModelVersion version{};                          // on which it stands
  uint64_t millis = 0;
  std::vector<OutputTensor> outputs;  // in the manifest's order and by its names
};

// A model that is ready to predict. One thread. The same request gives the same bits.
class LoadedModel {
 public:
  virtual ~LoadedModel() = default;
  // `request` has the features, by the names of their fields (CheckRequest). Errors: those of CheckRequest; kBadExample:
  // a value that the input cannot hold; those of the learner.
  virtual Result<Prediction> Predict(const ExampleSet& request) = 0;
  // False: it has ended, or failed in a way that may have spoilt it. Load another one.
  virtual bool usable() const { return true; }
};

// The machine learning that an agent needs, as an interface. device/torch implements it with LibTorch in this process;
// ProcessLearner asks another process. It is called on a worker thread, one call at a time for one learner. The same
// inputs give the same bits.
class Learner {
 public:
  virtual ~Learner() = default;
  // Fits the weights to examples.training by the plan's strategy and evaluates the version and the device's own model on
  // examples.held_out, if there are any.
  // Errors: kMissingField, kBadExample, kNeedsLearner, kModelRefused, kWrongTensorCount (the module is not the task's), kNotFinite (it
  // diverged), kShuttingDown, kLearnerCrashed, kLearnerMemory, kLearnerTimeout, kLearnerProtocol; those of the module.
  virtual Result<Learned> Learn(const LearnOrder& order, const TaskExamples& examples, const LearnHooks& hooks) = 0;
  // The quality of the weights on examples.held_out; with order.personal also that of the device's own model, which stands
  // on these weights then. Errors as Learn.
  virtual Result<std::vector<EvaluationResult>> Evaluate(const LearnOrder& order, const TaskExamples& examples,
                                                         const LearnHooks& hooks) = 0;
  // The model that the device uses for itself, for predictions: the version, or order.personal on it, as Evaluate measures
  // it. `scaled_by`: the device's examples, by which inputs of scaling device-standard are scaled (NeedsExamples); borrowed
  // for the call as the order is. Errors as Learn; kNotSupported: this learner cannot predict; kFewExamples: there are
  // none to scale by.
  virtual Result<std::unique_ptr<LoadedModel>> Load(const LearnOrder& order, const Examples& scaled_by);
  // True: it works in a process of its own and tells how that ended, so the end of this process is not its doing.
  virtual bool works_apart() const { return false; }
};

// kNeedsLearner: the task has no module, so that a learner of modules has nothing to learn with.
Status CheckHasModule(const TaskManifest& manifest);

// Whether it was the learner that failed, and not the device or the task: the same work is worth another try, but not for
// ever.
bool IsLearnerFailure(Code code);
// Whether an error's text or a process's last words say that memory ran out, as C++, LibTorch and Python put it.
bool SpeaksOfMemory(std::string_view words);

// Where a device's examples come from. Called on the same threads as the learner.
class ExampleSource {
 public:
  virtual ~ExampleSource() = default;
  // The examples for a task with this manifest. kMissingField names the collection or field that is not there,
  // kFewExamples says how many there are and how many are asked for; those of the store.
  virtual Result<TaskExamples> Load(const TaskManifest& manifest) = 0;
  // Another number than before: examples of the collection that the manifest names were deleted meanwhile, and what was
  // made from them should go. Called on any thread, also during Load. Errors: those of the store.
  virtual Result<uint64_t> Generation(const TaskManifest& manifest) = 0;
  // Another text than before: the examples, or what is known of them, may have changed. Cheap, and called on any thread.
  virtual std::string Stamp() { return ""; }
};

// Whether the examples have the fields that the manifest's inputs name, of types and shapes that become theirs, and are
// enough. kMissingField, kFewExamples, kBadExample (says which field has which shape, and what is asked for).
Status CheckExamples(const TaskManifest& manifest, const TaskExamples& examples);
// Whether a request has the features that the manifest names, of types and shapes that become theirs. kMissingField,
// kBadExample, kFewExamples; those of CheckExampleSet.
Status CheckRequest(const TaskManifest& manifest, const ExampleSet& request);
// Whether a feature is scaled by the device's own examples.
bool NeedsExamples(const TaskManifest& manifest);

}  // namespace tributary

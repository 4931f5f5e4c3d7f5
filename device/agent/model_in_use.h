#pragma once

#include <map>
#include <memory>
#include <string>

#include "device/agent/personal_store.h"
#include "device/learn/predictor.h"
#include "protocol/base/file.h"
#include "protocol/trust/identity/trust_anchor.h"

namespace tributary {

// The models that a device uses for itself, read from its folder, whether its agent runs or not: the publication that it
// has adopted, verified once more; module and weights, by their digests; and the personal model that is in force, where it
// fits. Changes nothing, but that a damaged file of a model is set aside, as the agent does. `files` must outlive it. One thread at a time.
class ModelInUse {
 public:
  ModelInUse(FileSystem& files, Path folder, TrustAnchor anchor);

  // kNotFound: no version of any model is here yet; kUnknownTask: the fleet has no such task, as far as the device knows;
  // kDamagedBlob: the disk has changed a file, which the agent fetches again; errors of OpenPublication and of files.
  Result<ModelToUse> Read(const TaskId& task, const DeviceId& device) const;
  // Another text than before: a version has come, or a personal model has come, gone or changed. Costs a few microseconds.
  std::string Stamp() const;

 private:
  FileSystem& files_;
  const Path folder_;
  const TrustAnchor anchor_;
  const PersonalStore personal_;
};

// Predictions of a device for its application, with the model that is in use when it is asked. Models stay loaded for the next
// request (Predictor). Everything in Parts must outlive it. One thread at a time.
class Predictions {
 public:
  struct Parts {
    FileSystem& files;
    const Clock& clock;
    Learner& learner;
    ExampleSource& examples;  // asked only for tasks whose inputs are scaled by them
  };
  Predictions(const Parts& parts, Path folder, const TrustAnchor& anchor, DeviceId device);

  // Errors: those of ModelInUse, of the examples and of Predictor.
  Result<Prediction> Predict(const TaskId& task, ExampleSet inputs);
  // Ends what nobody has asked for a while. To be called now and then.
  void LetGoWhenIdle();

 private:
  Result<ModelToUse> Read(const TaskId& task) const;

  Parts parts_;
  const ModelInUse models_;
  const DeviceId device_;
  std::map<TaskId, Predictor> predictors_;
};

}  // namespace tributary

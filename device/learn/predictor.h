#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device/learn/learner.h"
#include "protocol/base/clock.h"

namespace tributary {

// A model to predict with, and all that it takes to load it.
struct ModelToUse {
  PublishedTask task;
  DeviceId device;
  Bytes module;
  std::vector<float> weights;
  std::optional<PersonalModel> personal;  // nullopt: the version itself
  Examples scaled_by = {};                // only where the task's inputs need them
};

// Predicts with one model at a time: loads it when it is first asked, keeps it for the next request, and loads again when
// the model is another one, or has ended or failed. Everything given to it must outlive it. One thread at a time; where a
// process holds the model, it ends with the thread that loaded it, and is loaded again then.
class Predictor {
 public:
  // The model that the device uses now. Its errors are passed on.
  using Source = std::function<Result<ModelToUse>()>;
  // A model that nobody asked for so long is let go.
  static constexpr Millis kIdle{300'000};

  Predictor(Learner& learner, const Clock& clock, Source source)
      : learner_(learner), clock_(clock), source_(std::move(source)) {}

  // `inputs`: the task's features, each by its own name or by that of its field. `stamp`: another text than before, and
  // the source may give another model. Errors: those of the source, of Learner::Load and of LoadedModel.
  Result<Prediction> Predict(ExampleSet inputs, const std::string& stamp);
  // To be called now and then.
  void LetGoWhenIdle();

 private:
  Status Load();

  Learner& learner_;
  const Clock& clock_;
  Source source_;
  std::unique_ptr<LoadedModel> model_;  // null: none is loaded
  TaskManifest manifest_;               // of the model
  std::string stamp_;
  Millis asked_{0};
};

}  // namespace tributary

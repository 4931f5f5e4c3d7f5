#include "device/learn/predictor.h"

#include <algorithm>
#include <utility>

namespace tributary {
namespace {

// Names the columns by the fields, as examples are; what is no feature is left out.
ExampleSet ByField(const TaskManifest& manifest, ExampleSet inputs) {
  ExampleSet request{{}, inputs.count};
  for (const TaskInput& input : manifest.inputs) {
    if (input.role == TaskInput::Role::kTarget || request.Find(input.field)) continue;
    const ExampleColumn* named = inputs.Find(input.name);
    if (!named) named = inputs.Find(input.field);
    if (!named) continue;
    ExampleColumn& column = request.columns.emplace_back(std::move(inputs.columns[named - inputs.columns.data()]));
    column.field.name = input.field;
  }
  return request;
}

}  // namespace

Result<Prediction> Predictor::Predict(ExampleSet inputs, const std::string& stamp) {
  asked_ = clock_.Monotonic();
  if (!model_ || stamp != stamp_ || !model_->usable()) {
    model_.reset();
    RETURN_IF_ERROR(Load());
    stamp_ = stamp;
  }
  return model_->Predict(ByField(manifest_, std::move(inputs)));
}

Status Predictor::Load() {
  ASSIGN_OR_RETURN(const ModelToUse use, source_());
  const LearnOrder order{use.task, use.device, use.module, use.weights, use.personal ? &*use.personal : nullptr};
  ASSIGN_OR_RETURN(model_, learner_.Load(order, use.scaled_by));
  manifest_ = use.task.manifest;
  return {};
}

void Predictor::LetGoWhenIdle() {
  if (model_ && clock_.Monotonic() - asked_ >= kIdle) model_.reset();
}

}  // namespace tributary

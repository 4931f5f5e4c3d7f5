#include "device/torch/torch_learner.h"

#include "device/torch/fit.h"
#include "device/torch/model.h"

namespace tributary {
namespace {

Result<std::unique_ptr<Model>> LoadVersion(const PublishedTask& task, ByteView module, std::span<const float> weights) {
  ASSIGN_OR_RETURN(auto model, Model::Load(module));
  if (model->table() != task.table) {
    return Fail(Code::kWrongTensorCount, "the module's tensors are not those that task {} lists", task.id.text());
  }
  RETURN_IF_ERROR(model->SetWeights(weights));
  return model;
}

Result<EvaluationResult> EvaluateAs(EvaluatedModel which, Model& model, const Examples& examples) {
  ASSIGN_OR_RETURN(const Evaluation evaluation, Evaluate(model, examples));
  return EvaluationResult{which, evaluation.examples, evaluation.loss, evaluation.accuracy, evaluation.millis};
}

}  // namespace

TorchLearner::TorchLearner(DeviceId device, Examples training, Examples held_out)
    : device_(std::move(device)), training_(std::move(training)), held_out_(std::move(held_out)) {}

Result<Learned> TorchLearner::Learn(const PublishedTask& task, ByteView module, std::span<const float> weights,
                                    const std::function<bool()>& cancelled) {
  if (training_.size() == 0) return Fail(Code::kInvalidArgument, device_.text() + " has no examples to train on");
  ASSIGN_OR_RETURN(auto model, LoadVersion(task, module, weights));
  Learned learned;
  if (held_out_.size() > 0) {
    ASSIGN_OR_RETURN(const auto before, EvaluateAs(EvaluatedModel::kGlobal, *model, held_out_));
    learned.evaluations.push_back(before);
  }
  ASSIGN_OR_RETURN(const Fitted fitted, Fit(*model, training_, task.plan, {device_, task.latest}, {cancelled, {}}));
  learned.delta = model->Weights();
  if (held_out_.size() > 0) {
    ASSIGN_OR_RETURN(const auto after, EvaluateAs(EvaluatedModel::kPersonal, *model, held_out_));
    learned.evaluations.push_back(after);
  }
  for (size_t i = 0; i < learned.delta.size(); ++i) learned.delta[i] -= weights[i];
  learned.meta = {fitted.examples, learned.delta.size(), fitted.loss, fitted.millis, fitted.peak_memory_bytes};
  return learned;
}

Result<std::vector<EvaluationResult>> TorchLearner::Evaluate(const PublishedTask& task, ByteView module,
                                                             std::span<const float> weights) {
  if (held_out_.size() == 0) return Fail(Code::kInvalidArgument, device_.text() + " has no examples to evaluate on");
  ASSIGN_OR_RETURN(auto model, LoadVersion(task, module, weights));
  ASSIGN_OR_RETURN(const auto result, EvaluateAs(EvaluatedModel::kGlobal, *model, held_out_));
  return std::vector{result};
}

}  // namespace tributary

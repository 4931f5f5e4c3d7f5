#include "device/torch/torch_learner.h"

#include <utility>

#include "device/torch/evaluate.h"
#include "device/torch/fit.h"
#include "device/torch/model.h"

namespace tributary {
namespace {

Result<std::unique_ptr<Model>> LoadVersion(const LearnOrder& order) {
  ASSIGN_OR_RETURN(auto model, Model::Load(order.module));
  RETURN_IF_ERROR(model->Select(order.task.table, order.task.manifest));
  RETURN_IF_ERROR(model->SetWeights(order.weights));
  return model;
}

Result<EvaluationResult> EvaluateAs(EvaluatedModel which, Model& model, const LearnOrder& order,
                                    const TaskExamples& examples, const LearnHooks& hooks) {
  const EvaluationOptions options{order.task.plan.loss, &examples.training, hooks.cancelled};
  ASSIGN_OR_RETURN(Evaluation evaluation, tributary::Evaluate(model, examples.held_out, options));
  return EvaluationResult{which, evaluation.examples, evaluation.millis, std::move(evaluation.metrics)};
}

}  // namespace

Result<Learned> TorchLearner::Learn(const LearnOrder& order, const TaskExamples& examples, const LearnHooks& hooks) {
  if (examples.training.size() == 0)
    return Fail(Code::kInvalidArgument, order.device.text() + " has no examples to train on");
  RETURN_IF_ERROR(CheckExamples(order.task.manifest, examples));
  ASSIGN_OR_RETURN(auto model, LoadVersion(order));
  Learned learned;
  if (examples.held_out.size() > 0) {
    ASSIGN_OR_RETURN(auto before, EvaluateAs(EvaluatedModel::kGlobal, *model, order, examples, hooks));
    learned.evaluations.push_back(std::move(before));
  }
  ASSIGN_OR_RETURN(const Fitted fitted, Fit(*model, examples.training, order.task.plan,
                                            {order.device, order.task.latest}, {hooks.cancelled, hooks.progress}));
  learned.delta = model->Weights();
  if (examples.held_out.size() > 0) {
    ASSIGN_OR_RETURN(auto after, EvaluateAs(EvaluatedModel::kPersonal, *model, order, examples, hooks));
    learned.evaluations.push_back(std::move(after));
  }
  for (size_t i = 0; i < learned.delta.size(); ++i) learned.delta[i] -= order.weights[i];
  learned.meta = {fitted.examples, learned.delta.size(), fitted.loss, fitted.millis, fitted.peak_memory_bytes};
  return learned;
}

Result<std::vector<EvaluationResult>> TorchLearner::Evaluate(const LearnOrder& order, const TaskExamples& examples,
                                                             const LearnHooks& hooks) {
  if (examples.held_out.size() == 0)
    return Fail(Code::kInvalidArgument, order.device.text() + " has no examples to evaluate on");
  RETURN_IF_ERROR(CheckExamples(order.task.manifest, examples));
  ASSIGN_OR_RETURN(auto model, LoadVersion(order));
  ASSIGN_OR_RETURN(auto result, EvaluateAs(EvaluatedModel::kGlobal, *model, order, examples, hooks));
  return std::vector{std::move(result)};
}

}  // namespace tributary

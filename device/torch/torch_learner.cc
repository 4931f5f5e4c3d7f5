#include "device/torch/torch_learner.h"

#include <utility>

#include "device/learn/strategies/strategy.h"
#include "device/torch/model.h"
#include "device/torch/torch_predictor.h"
#include "device/torch/torch_trainer.h"

namespace tributary {
namespace {

Result<std::unique_ptr<Model>> LoadVersion(const LearnOrder& order) {
  RETURN_IF_ERROR(CheckHasModule(order.task.manifest));
  ASSIGN_OR_RETURN(auto model, Model::Load(order.module));
  RETURN_IF_ERROR(model->Select(order.task.table, order.task.manifest));
  RETURN_IF_ERROR(model->SetWeights(order.weights));
  return model;
}

}  // namespace

Result<Learned> TorchLearner::Learn(const LearnOrder& order, const TaskExamples& examples, const LearnHooks& hooks) {
  if (examples.training.size() == 0)
    return Fail(Code::kInvalidArgument, order.device.text() + " has no examples to train on");
  RETURN_IF_ERROR(CheckExamples(order.task.manifest, examples));
  ASSIGN_OR_RETURN(auto model, LoadVersion(order));
  TorchTrainer trainer(*model, order, examples, hooks);
  return LearnBy(trainer, order);
}

Result<std::vector<EvaluationResult>> TorchLearner::Evaluate(const LearnOrder& order, const TaskExamples& examples,
                                                             const LearnHooks& hooks) {
  if (examples.held_out.size() == 0)
    return Fail(Code::kInvalidArgument, order.device.text() + " has no examples to evaluate on");
  RETURN_IF_ERROR(CheckExamples(order.task.manifest, examples));
  ASSIGN_OR_RETURN(auto model, LoadVersion(order));
  TorchTrainer trainer(*model, order, examples, hooks);
  std::vector<EvaluationResult> results;
  ASSIGN_OR_RETURN(auto global, trainer.Measure(trainer.base()));
  results.push_back(std::move(*global));
  if (order.personal) {
    ASSIGN_OR_RETURN(auto own, trainer.Measure(ValuesOf(trainer, *order.personal)));
    own->model = EvaluatedModel::kPersonal;
    results.push_back(std::move(*own));
  }
  return results;
}

Result<std::unique_ptr<LoadedModel>> TorchLearner::Load(const LearnOrder& order, const Examples& scaled_by) {
  ASSIGN_OR_RETURN(auto model, LoadVersion(order));
  if (order.personal) {
    RETURN_IF_ERROR(CheckPersonalModel(*order.personal, order.task.table));
    const TaskExamples none;
    const LearnHooks hooks;
    TorchTrainer trainer(*model, order, none, hooks);
    trainer.Put(ValuesOf(trainer, *order.personal));
  }
  return MakeTorchPredictor(std::move(model), order, scaled_by);
}

}  // namespace tributary

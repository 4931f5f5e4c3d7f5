#include "device/torch/torch_trainer.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "device/torch/evaluate.h"
#include "device/torch/fit.h"
#include "device/torch/task_methods.h"
#include "device/torch/torch_module.h"

namespace tributary {
namespace {

constexpr size_t kSlopeExamples = 256;
constexpr uint64_t kSlopeSeed = 2;  // of a model that draws random numbers

bool IsFrozen(const NamedTensor& named, const TaskManifest& manifest) {
  if (named.is_parameter && !named.tensor.requires_grad()) return true;
  return std::ranges::any_of(manifest.frozen,
                             [&](const std::string& pattern) { return MatchesPattern(pattern, named.name); });
}

}  // namespace

TorchTrainer::TorchTrainer(Model& model, const LearnOrder& order, const TaskExamples& examples, const LearnHooks& hooks)
    : model_(model), order_(order), examples_(examples), hooks_(hooks) {
  const std::vector<NamedTensor>& all = model.module().all;
  std::set<std::string_view> travels;
  for (const TensorEntry& entry : model.table().tensors) {
    travels.insert(entry.name);
    const auto place = std::ranges::find(all, entry.name, &NamedTensor::name);
    TRIBUTARY_CHECK(place != all.end()) << entry.name;  // Select has looked
    places_.push_back(static_cast<size_t>(place - all.begin()));
    table_.tensors.push_back(entry);
  }
  for (size_t i = 0; i < all.size(); ++i) {
    if (travels.contains(all[i].name) || IsFrozen(all[i], model.manifest())) continue;
    places_.push_back(i);
    table_.tensors.push_back({all[i].name, all[i].tensor.sizes().vec(), table_.parameter_count(),
                              static_cast<uint64_t>(all[i].tensor.numel())});
  }
  base_.resize(table_.parameter_count());
  (void)Take(base_);
}

std::vector<bool> TorchTrainer::trained() const {
  std::vector<bool> trained;
  for (const size_t place : places_) {
    const NamedTensor& named = model_.module().all[place];
    trained.push_back(named.is_parameter && named.tensor.requires_grad());
  }
  return trained;
}

Status TorchTrainer::Take(Values& values) const {
  for (size_t i = 0; i < places_.size(); ++i) {
    const auto& [name, shape, offset, size] = table_.tensors[i];
    const at::Tensor tensor = model_.module().all[places_[i]].tensor.detach().contiguous();
    std::copy_n(tensor.data_ptr<float>(), size, values.begin() + static_cast<ptrdiff_t>(offset));
  }
  if (std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) return {};
  return Fail(Code::kNotFinite, "the weights after the fit; the learning rate may be too high");
}

void TorchTrainer::Put(const Values& values) {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < places_.size(); ++i) {
    const TensorEntry& entry = table_.tensors[i];
    float* from = const_cast<float*>(values.data() + entry.offset);  // from_blob has no const form; only read
    model_.module().all[places_[i]].tensor.copy_(at::from_blob(from, entry.shape, at::kFloat));
  }
}

template <class T>
std::vector<T> TorchTrainer::ByModule(const std::vector<T>& by_table, T otherwise) const {
  std::vector<T> by_module(model_.module().all.size(), otherwise);
  for (size_t i = 0; i < places_.size(); ++i) by_module[places_[i]] = by_table[i];
  return by_module;
}

Result<UpdateMeta> TorchTrainer::Train(Values& values, const TrainingPass& pass) {
  Put(values);
  TrainingPlan plan = order_.task.plan;
  if (pass.epochs != 0) plan.epochs = pass.epochs;
  constexpr double kLargestRate = 10;  // the plan's bound
  plan.learning_rate = std::min(plan.learning_rate * pass.rate, kLargestRate);
  FitPart part{.pull = pass.pull, .order = pass.order, .steady = pass.steady};
  if (!pass.trains.empty()) part.trains = ByModule(pass.trains, false);
  if (pass.pull != 0) {
    std::vector<std::span<const float>> towards;
    for (const TensorEntry& entry : table_.tensors) towards.push_back(pass.towards.subspan(entry.offset, entry.size));
    part.towards = ByModule(towards, {});
  }
  const FitHooks hooks{hooks_.cancelled,
                       [this](uint64_t steps, double loss) { hooks_.progress(steps_ + steps, loss); }};
  ASSIGN_OR_RETURN(const Fitted fitted,
                   Fit(model_, examples_.training, plan, {order_.device, order_.task.latest}, hooks, part));
  steps_ += fitted.steps;
  RETURN_IF_ERROR(Take(values));
  return UpdateMeta{fitted.examples, model_.table().parameter_count(), fitted.loss, fitted.millis,
                    fitted.peak_memory_bytes};
}

Result<std::optional<EvaluationResult>> TorchTrainer::Measure(const Values& values) {
  if (examples_.held_out.size() == 0) return std::nullopt;
  Put(values);
  const EvaluationOptions options{order_.task.plan.loss, &examples_.training, hooks_.cancelled};
  ASSIGN_OR_RETURN(Evaluation evaluation, Evaluate(model_, examples_.held_out, options));
  return EvaluationResult{EvaluatedModel::kGlobal, evaluation.examples, evaluation.millis,
                          std::move(evaluation.metrics)};
}

Result<double> TorchTrainer::Slope(const Values& values, const Values& direction) {
  Put(values);
  return CatchTorch(Code::kInvalidArgument, "the model cannot be trained on these examples", [&]() -> Result<double> {
    Model::Module& module = model_.module();
    ASSIGN_OR_RETURN(TaskMethods methods, TaskMethods::Bind(module.script, model_.manifest(), order_.task.plan.loss));
    const Examples& examples = examples_.training;
    Batcher batches(model_.manifest(), methods.used(), *examples.set, MeasureScales(model_.manifest(), examples));
    const auto lock = HoldRandom(module, kSlopeSeed);
    const TrainingMode training(module, /*steady=*/true);
    const size_t count = std::min(kSlopeExamples, examples.size());
    ASSIGN_OR_RETURN(const Batch batch, batches.Make(std::span(examples.indices).first(count)));
    ASSIGN_OR_RETURN(const BatchLoss loss, methods.LossOf(batch));
    loss.mean.backward();
    double slope = 0;
    for (size_t i = 0; i < places_.size(); ++i) {
      const at::Tensor gradient = module.all[places_[i]].tensor.grad();
      if (!gradient.defined()) continue;
      const at::Tensor flat = gradient.contiguous();
      const TensorEntry& entry = table_.tensors[i];
      for (uint64_t at = 0; at < entry.size; ++at)
        slope += double{flat.data_ptr<float>()[at]} * double{direction[entry.offset + at]};
    }
    if (!std::isfinite(slope)) return Fail(Code::kNotFinite, "the gradient of the training loss");
    return slope;
  });
}

}  // namespace tributary

#include "device/torch/fit.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include "device/examples/repeatable_random.h"
#include "device/learn/learner.h"
#include "device/torch/last_layer.h"
#include "device/torch/task_methods.h"
#include "device/torch/torch_module.h"

namespace tributary {
namespace {

std::unique_ptr<torch::optim::Optimizer> MakeOptimizer(const TrainingPlan& plan, std::vector<at::Tensor> parameters) {
  if (plan.optimizer == Optimizer::kAdamW) {
    return std::make_unique<torch::optim::AdamW>(
        std::move(parameters), torch::optim::AdamWOptions(plan.learning_rate).weight_decay(plan.weight_decay));
  }
  return std::make_unique<torch::optim::SGD>(
      std::move(parameters),
      torch::optim::SGDOptions(plan.learning_rate).momentum(plan.momentum).weight_decay(plan.weight_decay));
}

uint64_t MillisSince(std::chrono::steady_clock::time_point start) {
  const auto spent = std::chrono::steady_clock::now() - start;
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(spent).count());
}

uint64_t PeakMemoryBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;  // Linux counts in KiB
}

// Where the next batch ends: `begin` plus the batch size, and one more if a single example would be left.
size_t BatchEnd(size_t begin, size_t batch_size, size_t size) {
  const size_t left = size - begin;
  return left <= batch_size || (left == batch_size + 1 && batch_size > 1) ? size : begin + batch_size;
}

// A tensor that a fit pulls towards values.
struct Pulled {
  at::Tensor tensor;
  at::Tensor towards;
};

// The tensors that a fit of a part trains and pulls. The others get no gradient while it lives, which also saves the way
// back through layers below; at its end those that a forward pass changes by itself, running statistics, are as they were.
class PartOfModel {
 public:
  PartOfModel(Model::Module& module, const FitPart& part) {
    for (size_t i = 0; i < module.all.size(); ++i) {
      const NamedTensor& named = module.all[i];
      const bool trains = part.trains.empty() || part.trains[i];
      if (!named.is_parameter && !trains) kept_.push_back({named.tensor, named.tensor.clone()});
      if (!named.is_parameter || !named.tensor.requires_grad()) continue;
      if (!trains) {
        still_.push_back(named.tensor);
        named.tensor.set_requires_grad(false);
        continue;
      }
      trained.push_back(named.tensor);
      if (part.pull == 0 || part.towards.empty()) continue;
      float* values = const_cast<float*>(part.towards[i].data());  // from_blob has no const form; only read
      pulled.push_back({named.tensor, at::from_blob(values, named.tensor.sizes(), at::kFloat)});
    }
  }
  PartOfModel(const PartOfModel&) = delete;
  PartOfModel& operator=(const PartOfModel&) = delete;
  ~PartOfModel() {
    const at::NoGradGuard no_grad;
    for (const at::Tensor& tensor : still_) tensor.set_requires_grad(true);
    for (const Pulled& kept : kept_) kept.tensor.copy_(kept.towards);
  }

  std::vector<at::Tensor> trained;
  std::vector<Pulled> pulled;

 private:
  std::vector<at::Tensor> still_;
  std::vector<Pulled> kept_;
};

// One fit while it runs.
class Fitting {
 public:
  Fitting(TaskMethods methods, Batcher batches, const PartOfModel& part, double pull, const Examples& examples,
          const TrainingPlan& plan, uint64_t seed)
      : methods_(std::move(methods)),
        batches_(std::move(batches)),
        plan_(plan),
        pull_(pull),
        pulled_(part.pulled),
        order_(examples.indices),
        random_(seed),
        optimizer_(MakeOptimizer(plan, part.trained)) {}

  // For a fit of the last layer alone.
  Status ComputeWhatLiesBelow(const torch::jit::Module& script, const PartOfModel& part) {
    ASSIGN_OR_RETURN(last_layer_, LastLayer::Of(script, methods_, batches_, part.trained, order_));
    return {};
  }

  Status Run(const FitHooks& hooks) {
    for (uint32_t epoch = 0; epoch < plan_.epochs && !Done(); ++epoch) RETURN_IF_ERROR(RunEpoch(hooks));
    return {};
  }

  uint64_t steps() const { return steps_; }
  double loss() const { return loss_count_ > 0 ? loss_sum_ / loss_count_ : 0; }

 private:
  bool Done() const { return plan_.max_steps != 0 && steps_ >= plan_.max_steps; }

  Status RunEpoch(const FitHooks& hooks) {
    random_.Shuffle(order_);
    loss_sum_ = 0;
    loss_count_ = 0;
    for (size_t begin = 0; begin < order_.size() && !Done();) {
      if (hooks.cancelled && hooks.cancelled()) return Fail(Code::kShuttingDown, "the fit was cancelled");
      const size_t end = BatchEnd(begin, plan_.batch_size, order_.size());
      ASSIGN_OR_RETURN(const double loss, Step(std::span(order_).subspan(begin, end - begin)));
      begin = end;
      if (hooks.progress) hooks.progress(steps_, loss);
    }
    return {};
  }

  Result<double> Step(std::span<const uint32_t> indices) {
    ASSIGN_OR_RETURN(const Batch batch, batches_.Make(indices));
    optimizer_->zero_grad();
    ASSIGN_OR_RETURN(const BatchLoss loss, last_layer_ ? methods_.LossOf(batch, last_layer_->Output(indices))
                                                       : methods_.LossOf(batch));
    loss.mean.backward();
    Pull();
    optimizer_->step();
    ++steps_;
    const double mean = loss.mean.item<double>();
    if (!std::isfinite(mean)) {
      return Fail(Code::kNotFinite, "the loss is {} in step {}", mean, steps_);
    }
    loss_sum_ += mean * loss.weight;
    loss_count_ += loss.weight;
    return mean;
  }

  void Pull() {
    const at::NoGradGuard no_grad;
    for (const Pulled& one : pulled_) {
      if (one.tensor.grad().defined()) one.tensor.mutable_grad().add_(one.tensor - one.towards, pull_);
    }
  }

  TaskMethods methods_;
  Batcher batches_;
  const TrainingPlan& plan_;
  double pull_;
  std::vector<Pulled> pulled_;
  std::vector<uint32_t> order_;
  RepeatableRandom random_;
  std::optional<LastLayer> last_layer_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  uint64_t steps_ = 0;
  double loss_sum_ = 0;
  double loss_count_ = 0;
};

}  // namespace

Result<Fitted> Fit(Model& model, const Examples& examples, const TrainingPlan& plan, const FitIdentity& identity,
                   const FitHooks& hooks, const FitPart& part) {
  RETURN_IF_ERROR(CheckTrainingPlan(plan));
  if (examples.size() == 0) return Fail(Code::kInvalidArgument, "there are no examples to train on");
  RETURN_IF_ERROR(CheckExamples(model.manifest(), {examples, {}}));
  UseOneThread();
  return CatchTorch(Code::kInvalidArgument, "the model cannot be trained on these examples", [&]() -> Result<Fitted> {
    Model::Module& module = model.module();
    ASSIGN_OR_RETURN(TaskMethods methods, TaskMethods::Bind(module.script, model.manifest(), plan.loss));
    const PartOfModel fitted(module, part);
    if (fitted.trained.empty())
      return Fail(Code::kNotSupported, "the model has no parameter that is trained: all are frozen");
    const uint64_t plain = DeriveSeed(plan.seed, identity.device.text(), Number(identity.base));
    const uint64_t seed = part.order == 0 ? plain : DeriveSeed(plain, "order", part.order);
    const auto start = std::chrono::steady_clock::now();
    Batcher batches(model.manifest(), methods.used(), *examples.set, MeasureScales(model.manifest(), examples));
    const auto lock = HoldRandom(module, seed);
    const TrainingMode training(module, part.steady);
    Fitting fitting(std::move(methods), std::move(batches), fitted, part.pull, examples, plan, seed);
    if (part.steady && !module.draws_random) RETURN_IF_ERROR(fitting.ComputeWhatLiesBelow(module.script, fitted));
    RETURN_IF_ERROR(fitting.Run(hooks));
    return Fitted{examples.size(), fitting.steps(), fitting.loss(), MillisSince(start), PeakMemoryBytes()};
  });
}

}  // namespace tributary

#include "device/torch/fit.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include "device/examples/repeatable_random.h"
#include "device/learn/learner.h"
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

// One fit while it runs.
class Fitting {
 public:
  Fitting(TaskMethods methods, Batcher batches, std::vector<NamedTensor> trained, const Examples& examples,
          const TrainingPlan& plan, uint64_t seed)
      : methods_(std::move(methods)), batches_(std::move(batches)), plan_(plan), order_(examples.indices), random_(seed) {
    std::vector<at::Tensor> tensors;
    for (NamedTensor& named : trained) tensors.push_back(std::move(named.tensor));
    optimizer_ = MakeOptimizer(plan, std::move(tensors));
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
    ASSIGN_OR_RETURN(const BatchLoss loss, methods_.LossOf(batch));
    loss.mean.backward();
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

  TaskMethods methods_;
  Batcher batches_;
  const TrainingPlan& plan_;
  std::vector<uint32_t> order_;
  RepeatableRandom random_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  uint64_t steps_ = 0;
  double loss_sum_ = 0;
  double loss_count_ = 0;
};

}  // namespace

Result<Fitted> Fit(Model& model, const Examples& examples, const TrainingPlan& plan, const FitIdentity& identity,
                   const FitHooks& hooks) {
  RETURN_IF_ERROR(CheckTrainingPlan(plan));
  if (examples.size() == 0) return Fail(Code::kInvalidArgument, "there are no examples to train on");
  RETURN_IF_ERROR(CheckExamples(model.manifest(), {examples, {}}));
  UseOneThread();
  return CatchTorch(Code::kInvalidArgument, "the model cannot be trained on these examples", [&]() -> Result<Fitted> {
    Model::Module& module = model.module();
    ASSIGN_OR_RETURN(TaskMethods methods, TaskMethods::Bind(module.script, model.manifest(), plan.loss));
    std::vector<NamedTensor> trained = module.Trained();
    if (trained.empty()) return Fail(Code::kNotSupported, "the model has no parameter that is trained: all are frozen");
    const uint64_t seed = DeriveSeed(plan.seed, identity.device.text(), Number(identity.base));
    const auto start = std::chrono::steady_clock::now();
    Batcher batches(model.manifest(), methods.used(), *examples.set, MeasureScales(model.manifest(), examples));
    const auto lock = HoldRandom(module, seed);
    const TrainingMode training(module);
    Fitting fitting(std::move(methods), std::move(batches), std::move(trained), examples, plan, seed);
    RETURN_IF_ERROR(fitting.Run(hooks));
    return Fitted{examples.size(), fitting.steps(), fitting.loss(), MillisSince(start), PeakMemoryBytes()};
  });
}

}  // namespace tributary

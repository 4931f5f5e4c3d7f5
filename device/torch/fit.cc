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
#include "device/torch/torch_module.h"

namespace tributary {
namespace {

// Of an evaluation. Large enough to make a call's overhead vanish, small enough that the activations of a small network
// stay in the cache.
constexpr size_t kEvaluationBatch = 100;

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

// Writes the images of a batch, scaled to 0..1, and their labels.
void FillBatch(const ExampleSet& set, std::span<const uint32_t> indices, float* pixels, int64_t* labels) {
  const ExampleColumn& image = *set.Find("image");
  const ExampleColumn& label = *set.Find("label");
  for (const uint32_t index : indices) {
    for (const uint8_t pixel : image.At(index)) *pixels++ = static_cast<float>(pixel) / 255.0f;
    *labels++ = label.At(index)[0];
  }
}

// One fit while it runs.
class Fitting {
 public:
  Fitting(Model::Module& module, const Examples& examples, const TrainingPlan& plan, uint64_t seed)
      : script_(module.script), set_(*examples.set), plan_(plan), order_(examples.indices), random_(seed) {
    std::vector<at::Tensor> trained;
    for (size_t i = 0; i < module.parameters; ++i) {
      module.tensors[i].mutable_grad() = at::Tensor();  // of an earlier fit
      if (module.tensors[i].requires_grad()) trained.push_back(module.tensors[i]);
    }
    optimizer_ = MakeOptimizer(plan, std::move(trained));
    std::vector<int64_t> shape = set_.Find("image")->field.shape;
    // A batch may take one more than the batch size.
    shape.insert(shape.begin(), static_cast<int64_t>(std::min<size_t>(plan.batch_size + size_t{1}, order_.size())));
    pixels_ = at::empty(shape, at::kFloat);
    labels_ = at::empty({shape[0]}, at::kLong);
  }

  Status Run(const FitHooks& hooks) {
    for (uint32_t epoch = 0; epoch < plan_.epochs && !Done(); ++epoch) RETURN_IF_ERROR(RunEpoch(hooks));
    return {};
  }

  uint64_t steps() const { return steps_; }
  double loss() const { return loss_sum_ / static_cast<double>(loss_count_); }

 private:
  bool Done() const { return plan_.max_steps != 0 && steps_ >= plan_.max_steps; }

  Status RunEpoch(const FitHooks& hooks) {
    random_.Shuffle(order_);
    loss_sum_ = 0;
    loss_count_ = 0;
    for (size_t begin = 0; begin < order_.size() && !Done();) {
      if (hooks.cancelled && hooks.cancelled()) return Fail(Code::kShuttingDown, "the fit was cancelled");
      const size_t end = BatchEnd(begin, plan_.batch_size, order_.size());
      const double loss = Step(std::span(order_).subspan(begin, end - begin));
      if (!std::isfinite(loss)) {
        return Fail(Code::kNotFinite, "the loss after {} steps; the learning rate may be too high", steps_);
      }
      loss_sum_ += loss * static_cast<double>(end - begin);
      loss_count_ += end - begin;
      begin = end;
      if (hooks.progress) hooks.progress(steps_, loss);
    }
    return {};
  }

  double Step(std::span<const uint32_t> batch) {
    const auto count = static_cast<int64_t>(batch.size());
    FillBatch(set_, batch, pixels_.data_ptr<float>(), labels_.data_ptr<int64_t>());
    optimizer_->zero_grad();
    const at::Tensor output = script_.forward({pixels_.narrow(0, 0, count)}).toTensor();
    const at::Tensor loss = LossOf(output, labels_.narrow(0, 0, count));
    loss.backward();
    optimizer_->step();
    ++steps_;
    return loss.item<double>();
  }

  at::Tensor LossOf(const at::Tensor& output, const at::Tensor& labels) const {
    if (plan_.loss == Loss::kCrossEntropy) return at::cross_entropy_loss(output, labels);
    if (output.numel() == labels.numel()) return at::mse_loss(output.flatten(), labels.to(at::kFloat));
    return at::mse_loss(output, at::one_hot(labels, output.size(1)).to(at::kFloat));
  }

  torch::jit::Module script_;  // a handle to the model's module, not a copy of it
  const ExampleSet& set_;
  const TrainingPlan& plan_;
  std::vector<uint32_t> order_;
  RepeatableRandom random_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  at::Tensor pixels_;
  at::Tensor labels_;
  uint64_t steps_ = 0;
  double loss_sum_ = 0;
  uint64_t loss_count_ = 0;
};

// The module is in training mode for as long as this lives; gradients are dropped at the end, as they are as large as
// the model.
class TrainingMode {
 public:
  explicit TrainingMode(Model::Module& module) : module_(module) { module_.script.train(); }
  TrainingMode(const TrainingMode&) = delete;
  TrainingMode& operator=(const TrainingMode&) = delete;
  ~TrainingMode() {
    module_.script.eval();
    for (size_t i = 0; i < module_.parameters; ++i) module_.tensors[i].mutable_grad() = at::Tensor();
  }

 private:
  Model::Module& module_;
};

}  // namespace

Result<Fitted> Fit(Model& model, const Examples& examples, const TrainingPlan& plan, const FitIdentity& identity,
                   const FitHooks& hooks) {
  RETURN_IF_ERROR(CheckTrainingPlan(plan));
  if (examples.size() == 0) return Fail(Code::kInvalidArgument, "there are no examples to train on");
  UseOneThread();
  return CatchTorch(Code::kInvalidArgument, "the model cannot be trained on these examples", [&]() -> Result<Fitted> {
    Model::Module& module = model.module();
    const uint64_t seed = DeriveSeed(plan.seed, identity.device.text(), Number(identity.base));
    const auto lock = HoldRandom(module);
    if (module.draws_random) at::manual_seed(seed);
    const auto start = std::chrono::steady_clock::now();
    const TrainingMode training(module);
    Fitting fitting(module, examples, plan, seed);
    RETURN_IF_ERROR(fitting.Run(hooks));
    return Fitted{examples.size(), fitting.steps(), fitting.loss(), MillisSince(start), PeakMemoryBytes()};
  });
}

Result<Evaluation> Evaluate(Model& model, const Examples& examples) {
  if (examples.size() == 0) return Fail(Code::kInvalidArgument, "there are no examples to evaluate on");
  UseOneThread();
  return CatchTorch(
      Code::kInvalidArgument, "the model cannot be evaluated on these examples", [&]() -> Result<Evaluation> {
        Model::Module& module = model.module();
        const auto lock = HoldRandom(module);
        const auto start = std::chrono::steady_clock::now();
        const at::NoGradGuard no_grad;
        std::vector<int64_t> shape = examples.set->Find("image")->field.shape;
        shape.insert(shape.begin(), static_cast<int64_t>(std::min(kEvaluationBatch, examples.size())));
        const at::Tensor pixels = at::empty(shape, at::kFloat);
        const at::Tensor labels = at::empty({shape[0]}, at::kLong);
        double loss = 0;
        int64_t correct = 0;
        for (size_t begin = 0; begin < examples.size(); begin += kEvaluationBatch) {
          const auto batch =
              std::span(examples.indices).subspan(begin, std::min(kEvaluationBatch, examples.size() - begin));
          const auto count = static_cast<int64_t>(batch.size());
          FillBatch(*examples.set, batch, pixels.data_ptr<float>(), labels.data_ptr<int64_t>());
          const at::Tensor target = labels.narrow(0, 0, count);
          const at::Tensor output = module.script.forward({pixels.narrow(0, 0, count)}).toTensor();
          loss += at::cross_entropy_loss(output, target, {}, at::Reduction::Sum).item<double>();
          correct += output.argmax(1).eq(target).sum().item<int64_t>();
        }
        const auto count = static_cast<double>(examples.size());
        if (!std::isfinite(loss)) return Fail(Code::kNotFinite, "the loss is not finite");
        return Evaluation{examples.size(), loss / count, static_cast<double>(correct) / count, MillisSince(start)};
      });
}

}  // namespace tributary

// Claim: a local fit (device/torch: batches filled from bytes, checks, hooks, report) reaches 0.95 of the speed of the
// bare LibTorch loop: the same model, optimiser and batches, with all tensors prepared up front. One thread. The same
// through a learner in a process of its own, without its start; and what the start costs.

#include <numeric>
#include <sstream>

#include <ATen/Parallel.h>
#include <torch/optim/sgd.h>
#include <torch/script.h>

#include "bench/claim.h"
#include "device/examples/idx.h"
#include "device/learn/process_learner.h"
#include "device/torch/fit.h"
#include "device/torch/model_tools.h"

namespace tributary::bench {
namespace {

constexpr uint32_t kExamples = 600;
constexpr uint32_t kEpochs = 2;
constexpr uint32_t kBatch = 32;

struct Batch {
  at::Tensor pixels;
  at::Tensor labels;
};

std::vector<Batch> AllBatches(const Examples& examples) {
  std::vector<Batch> batches;
  for (size_t begin = 0; begin < examples.size(); begin += kBatch) {
    const auto indices = std::span(examples.indices).subspan(begin, std::min<size_t>(kBatch, examples.size() - begin));
    const auto count = static_cast<int64_t>(indices.size());
    std::vector<int64_t> shape = examples.set->Find("image")->field.shape;
    shape.insert(shape.begin(), count);
    Batch batch{at::empty(shape, at::kFloat), at::empty({count}, at::kLong)};
    float* pixel = batch.pixels.data_ptr<float>();
    int64_t* label = batch.labels.data_ptr<int64_t>();
    for (const uint32_t index : indices) {
      for (const uint8_t value : examples.set->Find("image")->At(index)) *pixel++ = static_cast<float>(value) / 255.0f;
      *label++ = examples.set->Find("label")->At(index)[0];
    }
    batches.push_back(std::move(batch));
  }
  return batches;
}

// The limit.
void FitBarely(torch::jit::Module& module, const std::vector<Batch>& batches, const TrainingPlan& plan) {
  std::vector<at::Tensor> parameters;
  for (const at::Tensor& parameter : module.parameters()) parameters.push_back(parameter);
  torch::optim::SGD optimizer(parameters, torch::optim::SGDOptions(plan.learning_rate).momentum(plan.momentum));
  double loss_sum = 0;
  for (uint32_t epoch = 0; epoch < plan.epochs; ++epoch) {
    for (const Batch& batch : batches) {
      optimizer.zero_grad();
      const at::Tensor loss = at::cross_entropy_loss(module.forward({batch.pixels}).toTensor(), batch.labels);
      loss.backward();
      optimizer.step();
      loss_sum += loss.item<double>();  // everybody looks at the loss
    }
  }
  TRIBUTARY_CHECK(loss_sum > 0) << loss_sum;
}

// The best of some rounds on the wall's clock, since the work is another process's.
void MeasureProcess(const Examples& examples, const Model& model, const Bytes& module, const TrainingPlan& plan,
                    const FitIdentity& identity, const std::function<void()>& bare) {
  constexpr int kRounds = 5;
  PublishedTask task;
  task.id = Must(TaskId::Parse("digits"));
  task.table = model.table();
  task.plan = plan;
  task.latest = identity.base;
  const std::vector<float> weights = model.Weights();
  ProcessLearner learner;
  double fit = 1e9, start = 1e9, limit = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    Learned learned;
    const double whole = Seconds(Measured::kWallTime, [&] {
      learned = Must(learner.Learn({task, identity.device, module, weights}, {examples, {}}, {}));
    });
    const double steps = static_cast<double>(learned.meta.training_millis) / 1000;
    fit = std::min(fit, steps);
    start = std::min(start, whole - steps);
    limit = std::min(limit, Seconds(Measured::kWallTime, bare));
  }
  const double images = kExamples * kEpochs;
  Print({"the same in a learner's process, without its start", images / fit, "img/s", images / limit, 0.95});
  Print({"start and end of a learner's process, its examples and answer", start, "s", 2, 1, Wanted::kAtMost});
}

void Measure() {
  at::set_num_threads(1);  // as Fit does for itself
  Examples examples{Must(LoadIdxFolder(kFashionMnistFolder, IdxPart::kTraining)), std::vector<uint32_t>(kExamples)};
  std::iota(examples.indices.begin(), examples.indices.end(), 0U);
  const auto model = Must(BuildFashionCnn(1));
  const std::vector<float> initial = model->Weights();
  const TrainingPlan plan{.learning_rate = 0.01, .batch_size = kBatch, .epochs = kEpochs};
  const FitIdentity identity{Must(DeviceId::Parse("device-1")), ModelVersion{1}};

  const Bytes saved = Must(model->Save());
  std::istringstream stream{std::string(AsText(saved))};
  torch::jit::Module module = torch::jit::load(stream);
  module.train();
  const std::vector<Batch> batches = AllBatches(examples);

  const Rates rates = Compare(
      Measured::kThreadTime, 9, kExamples * kEpochs, [&] { Must(Fit(*model, examples, plan, identity)); },
      [&] { FitBarely(module, batches, plan); }, [&] { Must(model->SetWeights(initial)); });
  Print({"local training of 600 images, 2 epochs, of the bare LibTorch loop", rates.ours, "img/s", rates.limit, 0.95});
  MeasureProcess(examples, *model, saved, plan, identity, [&] { FitBarely(module, batches, plan); });
}

}  // namespace
}  // namespace tributary::bench

int main() { tributary::bench::Measure(); }

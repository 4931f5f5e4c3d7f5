// Claim: one prediction for one example through a learner's process that stays costs at most 100 microseconds beside the
// bare forward of the same model in this process: the example sent, checked twice, scaled, answered and checked. A network
// of 215,370 parameters may cost three times that: the process that is woken finds its weights out of the caches.

#include <chrono>
#include <thread>

#include "bench/claim.h"
#include "device/examples/repeatable_random.h"
#include "device/learn/predictor.h"
#include "device/learn/process_learner.h"
#include "device/torch/model.h"
#include "device/torch/model_tools.h"

namespace tributary::bench {
namespace {

constexpr int kTurns = 20, kInATurn = 200;

double Percentile(std::vector<double> values, double share) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

std::unique_ptr<Model> SmallNetwork() {
  RepeatableRandom random(1);
  ModelSource source{"Net", {{"first", {64, 32}, {}}, {"second", {10, 64}, {}}}, R"(
def forward(self, x):
    return torch.linear(torch.relu(torch.linear(x, self.first)), self.second)
)"};
  for (ModelSource::Parameter& parameter : source.parameters) {
    for (int64_t i = 0; i < parameter.shape[0] * parameter.shape[1]; ++i)
      parameter.values.push_back(static_cast<float>(0.2 * random.Unit() - 0.1));
  }
  return Must(Model::FromSource(source));
}

void Measure(const std::string& name, Model& model, const TaskManifest& manifest, const ExampleSet& inputs,
             const std::vector<float>& bare_input, const std::vector<int64_t>& shape, double most) {
  const Bytes module = Must(model.Save());
  PublishedTask task;
  task.id = Must(TaskId::Parse("digits"));
  task.latest = ModelVersion{1};
  task.table = model.table();
  task.manifest = manifest;
  const DeviceId device = Must(DeviceId::Parse("device-1"));
  ProcessLearner learner;
  const SystemClock clock;
  Predictor predictor(learner, clock, [&]() -> Result<ModelToUse> {
    return ModelToUse{task, device, module, model.Weights(), std::nullopt};
  });
  std::vector<double> ours, bare;
  Bytes answer;
  ModelOutput output;
  // In turns of many, as an application asks: one by one each would find the other's weights in the cache. Both wait before,
  // as a process that waits for a request finds caches that others have used.
  for (int turn = 0; turn <= kTurns; ++turn) {
    const auto add = [&](std::vector<double>& to, const std::function<void()>& work) {
      for (int i = 0; i < kInATurn; ++i) {
        std::this_thread::sleep_for(std::chrono::microseconds(100));
        const double seconds = Seconds(Measured::kWallTime, work);
        if (turn > 0) to.push_back(1e6 * seconds);  // both warm up
      }
    };
    add(ours, [&] { answer = std::move(Must(predictor.Predict(inputs, "")).outputs.at(0).values); });
    add(bare, [&] { output = Must(model.Run(bare_input, shape)); });
    TRIBUTARY_CHECK(std::ranges::equal(answer, AsBytes(std::span<const float>(output.values)))) << "other bits";
  }
  const double median = Percentile(ours, 0.5), bare_median = Percentile(bare, 0.5);
  Print({"what a prediction costs beside forward, median, " + name, median - bare_median, "us", 100, most,
         Wanted::kAtMost});
  Print({"the same, 99th percentile, " + name, Percentile(ours, 0.99) - Percentile(bare, 0.99), "us", 1'000, 5,
         Wanted::kAtMost});
  Print({"predictions for one example, one after the other, " + name, 1e6 / median, "/s", 1e6 / bare_median,
         bare_median / (bare_median + 100 * most)});
}

void MeasureAll() {
  const auto cnn = Must(BuildFashionCnn(1));
  const Bytes pixels(784, 100);
  Measure("the demo's network", *cnn, ManifestOfImages(), {{{{"image", DType::kUint8, {1, 28, 28}}, pixels}}, 1},
          std::vector<float>(784, 100.0f / 255), {1, 1, 28, 28}, 3);
  const auto small = SmallNetwork();
  TaskManifest manifest;
  manifest.inputs.resize(2);
  manifest.inputs[0].name = manifest.inputs[0].field = "x";
  manifest.inputs[0].shape = {-1, 32};
  manifest.inputs[1].name = manifest.inputs[1].field = "y";
  manifest.inputs[1].role = TaskInput::Role::kTarget;
  manifest.outputs = {{"logits", DType::kFp32, {-1, 10}}};
  const std::vector<float> x(32, 0.5f);
  Measure("32 numbers and one hidden layer of 64", *small, manifest,
          {{{{"x", DType::kFp32, {32}}, ToBytes(AsBytes(std::span<const float>(x)))}}, 1}, x, {1, 32}, 1);
}

}  // namespace
}  // namespace tributary::bench

int main() { tributary::bench::MeasureAll(); }

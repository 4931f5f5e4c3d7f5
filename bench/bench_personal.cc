// Claims: with the default fine-tuning (five epochs of the last layer) and the comparison of models a fit takes at most half as
// long again as the fit that is shared, with the demo's share of a device: 540 images in two epochs, 60 held back. And on a device's disk a personal model costs the float32 values of the tensors that its strategy keeps, and at most 2 %
// and 4 KiB more; against the file of the version's weights. The network of the demo, after two fits of 64 images.

#include <numeric>

#include "bench/claim.h"
#include "bench/scratch_folder.h"
#include "device/agent/personal_store.h"
#include "device/examples/idx.h"
#include "device/learn/strategies/strategy.h"
#include "device/torch/model_tools.h"
#include "device/torch/torch_trainer.h"

namespace tributary::bench {
namespace {

uint64_t BytesBelow(const Path& folder) {
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) bytes += entry.file_size();
  return bytes;
}

void MeasureTime() {
  const auto model = Must(BuildFashionCnn(1));
  const std::vector<float> weights = model->Weights();
  const auto set = Must(LoadIdxFolder(kFashionMnistFolder, IdxPart::kTraining));
  TaskExamples examples{{set, std::vector<uint32_t>(540)}, {set, std::vector<uint32_t>(60)}};
  std::iota(examples.training.indices.begin(), examples.training.indices.end(), 0U);
  std::iota(examples.held_out.indices.begin(), examples.held_out.indices.end(), 540U);
  const TaskExamples shared_only{examples.training, {set, {}}};
  const DeviceId device = Must(DeviceId::Parse("device-1"));
  PublishedTask task;
  task.id = Must(TaskId::Parse("fashion"));
  task.latest = ModelVersion{1};
  task.table = model->table();
  task.plan.epochs = 2;
  task.plan.learning_rate = 0.01;
  const LearnHooks hooks;
  const auto learn = [&](const TaskExamples& of) {
    Must(model->SetWeights(weights));
    const LearnOrder order{task, device, {}, weights};
    TorchTrainer trainer(*model, order, of, hooks);
    Must(LearnBy(trainer, order));
  };
  const Rates rates = Compare(Measured::kThreadTime, 7, 1, [&] { learn(examples); }, [&] { learn(shared_only); });
  Print({"a fit with a model for the device's own use, of the fit that is shared", 1 / rates.ours, "s", 1 / rates.limit, 1.6,
         Wanted::kAtMost});
}

void Measure() {
  const auto model = Must(BuildFashionCnn(1));
  const std::vector<float> weights = model->Weights();
  const auto set = Must(LoadIdxFolder(kFashionMnistFolder, IdxPart::kTraining));
  TaskExamples examples{{set, std::vector<uint32_t>(64)}, {set, std::vector<uint32_t>(32)}};
  std::iota(examples.training.indices.begin(), examples.training.indices.end(), 0U);
  std::iota(examples.held_out.indices.begin(), examples.held_out.indices.end(), 64U);
  const DeviceId device = Must(DeviceId::Parse("device-1"));
  const double whole = static_cast<double>(weights.size() * sizeof(float));
  for (const auto& [name, strategy, tensors] :
       {std::tuple{"fedper", StrategyName::kFedPer, 1'290.0}, {"ditto", StrategyName::kDitto, 215'370.0},
        {"apfl", StrategyName::kApfl, 2 * 215'370.0}}) {
    const ScratchFolder folder;
    const PersonalStore store(RealFileSystem(), folder / "personal");
    PublishedTask task;
    task.id = Must(TaskId::Parse("fashion"));
    task.table = model->table();
    task.plan.strategy = strategy;
    for (uint64_t version = 1; version <= 2; ++version) {
      task.latest = ModelVersion{version};
      const auto before = Must(store.Load(task.id));
      Must(model->SetWeights(weights));
      const LearnOrder order{task, device, {}, weights, before ? &*before : nullptr};
      const LearnHooks hooks;
      TorchTrainer trainer(*model, order, examples, hooks);
      const Learned learned = Must(LearnBy(trainer, order));
      Must(store.Prepare(*learned.personal));
      Must(store.Adopt(task.id, task.latest));
    }
    const auto bytes = static_cast<double>(BytesBelow(folder / "personal"));
    // At most: the kept tensors, and where the whole fit was the best model for the device, that one beside them.
    const double kept = static_cast<double>(Must(store.Load(task.id))->value_bytes());
    Print({std::string("a device's personal model on disk, ") + name + ", of its tensors and 4 KiB", bytes, "B",
           kept + 4096, 1.02, Wanted::kAtMost});
    Print({std::string("the tensors of that, ") + name + ", of the version's weights", kept, "B", whole,
           tensors * sizeof(float) / whole + (strategy == StrategyName::kFedPer ? 1 : 0), Wanted::kAtMost});
  }
}

}  // namespace
}  // namespace tributary::bench

int main() {
  tributary::bench::MeasureTime();
  tributary::bench::Measure();
}

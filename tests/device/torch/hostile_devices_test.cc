#include <algorithm>
#include <cmath>
#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include "aggregator/optimise/next_weights.h"
#include "device/examples/idx.h"
#include "device/examples/partition.h"
#include "device/torch/evaluate.h"
#include "device/torch/fit.h"
#include "device/torch/model_tools.h"
#include "protocol/payload/update_codec.h"
#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/must.h"

// The harm that hostile devices can do to the demo's model: real fits, sealed updates, and the aggregator's rounds with the
// bounds that a task has by default.
namespace tributary::hostile_devices_test {
namespace {

constexpr int kDevices = 20;

// The nightly run plays the demo itself, with its data and its rounds; a shorter one has less to learn from.
struct Play {
  uint32_t images;  // of all devices
  uint64_t rounds;
  TrainingPlan plan;
  double fifth_costs;  // most that the accuracy falls by
};
const Play& Played() {
  static const Play play = std::getenv("TRIBUTARY_LONG_TESTS") != nullptr ? Play{12'000, 10, {.epochs = 2}, 0.08}
                                                                          : Play{2'000, 8, {.batch_size = 8}, 0.15};
  return play;
}

struct Learned {
  uint64_t weight = 0;
  std::vector<float> delta;
};
// Changes what a hostile device learned, before it seals it.
using Attack = std::function<void(Learned&)>;

class Federation : RoundFixture {
 public:
  // The first `hostile` devices attack.
  Federation(int hostile, Attack attack) : hostile_(hostile), attack_(std::move(attack)) {
    const std::vector<float> weights = model_->Weights();
    TaskRecord task;
    task.id = task_id;
    task.table = model_->table();
    task.plan = Played().plan;
    task.policy = {.report_goal = kDevices, .minimum = kDevices};
    BlobStore& blobs = core().tasks().mutable_blobs();
    task.module = {Must(blobs.Put(Bytes(100, 0x5a))), 100};
    Must(core().tasks().Create(task, Must(blobs.Put(AsBytes(std::span<const float>(weights))))));
    Must(core().rounds().Start(task_id, Played().rounds));
  }

  // The share of test images that the version after each round gets right.
  std::vector<double> Run() {
    std::vector<double> accuracies;
    for (uint64_t base = 1; base <= Played().rounds; ++base) {
      RunRound(ModelVersion{base});
      accuracies.push_back(Accuracy());
    }
    return accuracies;
  }
  std::vector<RoundRecord> Rounds() { return Must(core().rounds().List(task_id)); }

 private:
  double Accuracy() {
    Must(model_->SetWeights(Weights()));
    static const auto set = LoadIdxFolder(kFashionMnistFolder, IdxPart::kTest).value();
    Examples images = Examples::All(set);
    images.indices.resize(2000);
    return Must(Evaluate(*model_, images)).metrics.at("accuracy").mean();
  }

  std::vector<float> Weights() {
    const VersionRecord latest = Must(core().tasks().Versions(task_id)).back();
    return Must(ReadWeights(core().tasks().blobs(), latest.weights, model_->table().parameter_count()));
  }

  void RunRound(ModelVersion base) {
    const std::vector<float> weights = Weights();
    std::vector<Learned> all(kDevices);
    // Half of the devices on each of two cores.
    const auto learn = [&](int first) {
      const auto model = BuildFashionCnn(1).value();
      for (int device = first; device < kDevices; device += 2)
        all[static_cast<size_t>(device)] = Learn(*model, device, base, weights);
    };
    std::thread odd(learn, 1);
    learn(0);
    odd.join();
    for (int device = 0; device < kDevices; ++device) {
      Learned& learned = all[static_cast<size_t>(device)];
      if (device < hostile_) attack_(learned);
      Must(Give(Seal(device, base, learned)));
    }
  }

  Learned Learn(Model& model, int device, ModelVersion base, const std::vector<float>& weights) const {
    static const auto set = LoadIdxFolder(kFashionMnistFolder, IdxPart::kTraining).value();
    static const auto shares =
        Partition(LabelsOf(*set).value(), {.devices = kDevices, .total = Played().images}).value();
    Must(model.SetWeights(weights));
    const Examples examples{set, shares[static_cast<size_t>(device)].training};
    const Fitted fitted = Must(Fit(model, examples, Played().plan, {Name(device), base}));
    Learned learned{fitted.examples, model.Weights()};
    std::ranges::transform(learned.delta, weights, learned.delta.begin(), std::minus());
    return learned;
  }

  SealedUpload Seal(int device, ModelVersion base, const Learned& learned) {
    UploadSubject subject;
    subject.id = random.TakeUploadId();
    subject.task = task_id;
    subject.base_version = base;
    subject.device = Name(device);
    subject.created = clock.Now();
    const Bytes plaintext = Must(EncodeUpdate(
        subject.codec, {.weight = learned.weight, .parameter_count = learned.delta.size()}, learned.delta));
    return Must(SealUpload(subject, plaintext, limits::kDefaultChunkBytes,
                           {kDefaultAead, fleet.sealing_key().public_key}, device_key, {}));
  }

  static DeviceId Name(int device) { return TestDevice(fmt::format("device-{:03}", device)); }

  const int hostile_;
  const Attack attack_;
  const std::unique_ptr<Model> model_ = BuildFashionCnn(1).value();
};

// After each round, without an attack.
const std::vector<double>& Clean() {
  static const std::vector<double> accuracies = Federation(0, {}).Run();
  return accuracies;
}

TEST(HostileDevices, OneOfTwentyWithTheLargestWeightAndNormTakesLessThanThreePoints) {
  Federation federation(1, [](Learned& learned) {
    learned.weight = ~uint64_t{0};
    std::ranges::fill(learned.delta, 999 / std::sqrt(static_cast<float>(learned.delta.size())));
  });
  EXPECT_GT(federation.Run().back(), Clean().back() - 0.03);
  for (const RoundRecord& round : federation.Rounds()) {
    EXPECT_TRUE(round.refused.empty());
  }
}

// They hold training up, and do not end it: without bounds it ends near chance.
TEST(HostileDevices, AFifthThatSendThreeTimesTheOppositeSlowTrainingAndDoNotUndoIt) {
  Federation federation(kDevices / 5, [](Learned& learned) {
    for (float& value : learned.delta) value *= -3;
  });
  EXPECT_GT(federation.Run().back(), Clean().back() - Played().fifth_costs);
}

}  // namespace
}  // namespace tributary::hostile_devices_test

// Devices that are slow, absent or hostile on purpose.
#include "device/fleet/troubled_learner.h"

#include <cmath>

#include <gmock/gmock.h>

#include "device/examples/field_value.h"
#include "tests/device/learn/learn_fixture.h"
#include "tests/support/must.h"

namespace tributary::troubled_learner_test {
namespace {

using testing::Each;
using testing::ElementsAre;

TaskInput TargetOf(DType dtype) {
  TaskInput input;
  input.name = input.field = "y";
  input.dtype = dtype;
  input.shape = {-1};
  input.role = TaskInput::Role::kTarget;
  return input;
}

// Learns the same update everywhere, and notes the targets that it saw.
class FixedLearner final : public Learner {
 public:
  explicit FixedLearner(std::vector<double>& targets) : targets_(targets) {}
  Result<Learned> Learn(const LearnOrder&, const TaskExamples& examples, const LearnHooks&) override {
    const ExampleColumn* y = examples.training.set->Find("y");
    targets_.clear();
    for (size_t i = 0; y && i < examples.training.set->count; ++i)
      targets_.push_back(RealAt(y->field.dtype, y->At(i).data()));
    return Learned{.meta = {}, .delta = {1, -2, 3}, .evaluations = {}};
  }
  Result<std::vector<EvaluationResult>> Evaluate(const LearnOrder&, const TaskExamples&, const LearnHooks&) override {
    return std::vector<EvaluationResult>();
  }

 private:
  std::vector<double>& targets_;
};

class TroubledLearnerTest : public testing::Test, protected LearnFixture {
 protected:
  Result<Learned> LearnAs(const std::string& id, const TroublePlan& plan, bool cancelled = false) {
    std::vector<std::string> devices;
    for (int i = 0; i < 10; ++i) devices.push_back(fmt::format("device-{}", i));
    TroubledLearner learner(std::make_unique<FixedLearner>(targets_), plan, devices, 2);
    device = TestDevice(id);
    LearnHooks hooks;
    hooks.cancelled = [cancelled] { return cancelled; };
    return learner.Learn(Order(), examples, hooks);
  }

  std::vector<double> targets_;
};

TEST_F(TroubledLearnerTest, TheLastDevicesAreHostile) {
  const TroublePlan plan{.hostile_share = 0.2, .attack = Attack::kFlipSigns, .attack_scale = 3};
  for (const char* id : {"device-0", "device-7"}) EXPECT_THAT(Must(LearnAs(id, plan)).delta, ElementsAre(1, -2, 3));
  for (const char* id : {"device-8", "device-9"}) EXPECT_THAT(Must(LearnAs(id, plan)).delta, ElementsAre(-3, 6, -9));
}

TEST_F(TroubledLearnerTest, NoiseHasTheUpdatesSizeAndRepeats) {
  const TroublePlan plan{.hostile_share = 1, .attack = Attack::kSendNoise, .attack_scale = 2};
  double squares = 0;
  for (uint64_t version = 1; version <= 2000; ++version) {
    task.latest = ModelVersion{version};
    for (const float value : Must(LearnAs("device-3", plan)).delta) squares += double{value} * value;
  }
  // 6,000 normal values of variance 4 * 14 / 3.
  EXPECT_NEAR(squares / 6000, 4 * 14.0 / 3, 4 * 14.0 / 3 * 0.1);
  const auto once = Must(LearnAs("device-3", plan)).delta;
  EXPECT_EQ(Must(LearnAs("device-3", plan)).delta, once);
  EXPECT_NE(Must(LearnAs("device-4", plan)).delta, once);
}

TEST_F(TroubledLearnerTest, LabelsAreCountedFromTheOtherEnd) {
  TaskManifest manifest;
  manifest.inputs = {TargetOf(DType::kInt64)};
  auto set = std::make_shared<ExampleSet>();
  set->count = 4;
  set->columns.push_back({{"x", DType::kUint8, {}}, {9, 9, 9, 9}});
  set->columns.push_back({{"y", DType::kUint8, {}}, {0, 1, 4, 2}});
  const TaskExamples given{{set, {0, 1, 2, 3}}, {set, {}}};
  const TaskExamples flipped = Must(WithFlippedLabels(manifest, given));
  EXPECT_THAT(flipped.training.set->columns[1].values, ElementsAre(4, 3, 0, 2));
  EXPECT_THAT(flipped.training.set->columns[0].values, Each(9));
  EXPECT_THAT(set->columns[1].values, ElementsAre(0, 1, 4, 2));
  manifest.classes = {"a", "b", "c", "d", "e", "f"};
  EXPECT_THAT(Must(WithFlippedLabels(manifest, given)).training.set->columns[1].values, ElementsAre(5, 4, 1, 3));

  // Through the learner; real targets are negated.
  task.manifest.inputs = {TargetOf(DType::kFp32)};
  Must(LearnAs("device-9", {.hostile_share = 0.1, .attack = Attack::kFlipLabels}));
  EXPECT_EQ(targets_[0], -0.5);
  Must(LearnAs("device-8", {.hostile_share = 0.1, .attack = Attack::kFlipLabels}));
  EXPECT_EQ(targets_[0], 0.5);
}

TEST_F(TroubledLearnerTest, WhoIsSlowOrAbsentEndsAtOnceWhenTheWorkIsCancelled) {
  EXPECT_EQ(LearnAs("device-0", {.slow_share = 0.1, .slow_seconds = 1e6}, true).error().code, Code::kShuttingDown);
  EXPECT_TRUE(LearnAs("device-1", {.slow_share = 0.1, .slow_seconds = 1e6}, true));
  EXPECT_TRUE(LearnAs("device-0", {.slow_share = 0.1, .slow_seconds = 0.01}));
  int absent = 0;
  for (uint64_t version = 1; version <= 1000; ++version) {
    task.latest = ModelVersion{version};
    absent += LearnAs("device-5", {.dropout_share = 0.3}, true) ? 0 : 1;
  }
  EXPECT_NEAR(absent, 300, 75);
}

}  // namespace
}  // namespace tributary::troubled_learner_test

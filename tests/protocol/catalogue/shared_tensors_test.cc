#include "protocol/catalogue/shared_tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/catalogue/publication.h"

namespace tributary::shared_tensors_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct SharedTensorsTest : ::testing::Test {
  SharedTensorsTest() {
    task.table.tensors = {{"conv.weight", {2}, 0, 2}, {"bn.weight", {1}, 2, 1},       {"fc.weight", {2}, 3, 2},
                          {"fc.bias", {1}, 5, 1},     {"bn.running_mean", {1}, 6, 1}, {"bn.running_var", {1}, 7, 1}};
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    const SharedTensors shared(task);
    for (const TensorEntry& tensor : shared.table().tensors) names.push_back(tensor.name);
    return names;
  }
  std::vector<std::string> NamesWith(StrategyName strategy) {
    task.plan.strategy = strategy;
    return Names();
  }
  PublishedTask task;
};

TEST_F(SharedTensorsTest, WithoutARuleEverythingIsShared) {
  for (const StrategyName name :
       {StrategyName::kFedAvg, StrategyName::kFedProx, StrategyName::kDitto, StrategyName::kApfl}) {
    task.plan.strategy = name;
    const SharedTensors shared(task);
    EXPECT_EQ(shared.table(), task.table);
    EXPECT_EQ(shared.runs().size(), 1u);
    const std::vector<float> all = {0, 1, 2, 3, 4, 5, 6, 7};
    EXPECT_EQ(shared.Of(all), all);
  }
}

TEST_F(SharedTensorsTest, EachStrategyKeepsItsTensors) {
  const auto body = ElementsAre("conv.weight", "bn.weight", "bn.running_mean", "bn.running_var");
  EXPECT_THAT(NamesWith(StrategyName::kFedPer), body);
  EXPECT_THAT(NamesWith(StrategyName::kFedRep), body);
  EXPECT_THAT(NamesWith(StrategyName::kFedBn), ElementsAre("conv.weight", "fc.weight", "fc.bias"));
  task.plan.statistics = StatisticsPolicy::kLocal;
  EXPECT_THAT(NamesWith(StrategyName::kFedAvg), ElementsAre("conv.weight", "bn.weight", "fc.weight", "fc.bias"));
  EXPECT_THAT(NamesWith(StrategyName::kFedPer), ElementsAre("conv.weight", "bn.weight"));
}

TEST_F(SharedTensorsTest, ThePlanNamesAHeadAndTheTaskFileComesFirst) {
  task.plan.head = "bn.weight, fc.bias";
  EXPECT_THAT(NamesWith(StrategyName::kFedPer),
              ElementsAre("conv.weight", "fc.weight", "bn.running_mean", "bn.running_var"));
  task.plan.head = "none";
  EXPECT_EQ(SharedTensors(task).table(), task.table) << "FedPer that keeps nothing is FedAvg";
  task.manifest.personal = {"conv.*"};
  task.manifest.local = {"*.running_var"};
  task.plan.head = "";
  EXPECT_THAT(Names(), ElementsAre("bn.weight", "fc.weight", "fc.bias", "bn.running_mean"));
  task.manifest.personal = {"*"};
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(SharedTensorsTest, TheSharedValuesLieOneBehindTheOther) {
  task.plan.strategy = StrategyName::kFedPer;
  const SharedTensors shared(task);
  EXPECT_EQ(shared.table().tensors[2], (TensorEntry{"bn.running_mean", {1}, 3, 1}));
  EXPECT_TRUE(CheckTensorTable(shared.table()));
  ASSERT_EQ(shared.runs().size(), 2u);
  EXPECT_EQ(shared.runs()[1].in_update, 3u);
  EXPECT_EQ(shared.runs()[1].in_version, 6u);
  EXPECT_EQ(shared.runs()[1].size, 2u);
  EXPECT_EQ(shared.InVersion(2), 2u);
  EXPECT_EQ(shared.InVersion(3), 6u);
  EXPECT_THAT(shared.Of(std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7}), ElementsAre(0, 1, 2, 6, 7));
}

// A tensor of the module itself has no layer; the last one is the head.
TEST_F(SharedTensorsTest, TheLastTensorOfAModuleWithoutLayersIsItsHead) {
  task.table.tensors = {{"a", {1}, 0, 1}, {"b", {1}, 1, 1}};
  EXPECT_THAT(NamesWith(StrategyName::kFedPer), ElementsAre("a"));
}

}  // namespace
}  // namespace tributary::shared_tensors_test

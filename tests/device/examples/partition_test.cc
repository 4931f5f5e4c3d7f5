#include "device/examples/partition.h"

#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "device/examples/repeatable_random.h"

namespace tributary::partition_test {
namespace {

std::vector<uint32_t> Labels(size_t count, uint32_t classes = 10) {
  RepeatableRandom random(9);
  std::vector<uint32_t> labels(count);
  for (uint32_t& label : labels) label = static_cast<uint32_t>(random.Below(classes));
  return labels;
}

std::vector<uint32_t> All(const DeviceShare& share) {
  std::vector<uint32_t> all = share.training;
  all.insert(all.end(), share.held_out.begin(), share.held_out.end());
  return all;
}

size_t LabelsSeen(const DeviceShare& share, const std::vector<uint32_t>& labels) {
  std::set<uint8_t> seen;
  for (const uint32_t index : All(share)) seen.insert(labels[index]);
  return seen.size();
}

TEST(Partition, DealsEveryExampleOnceAndMeetsTheMinimum) {
  rc::check([] {
    PartitionPlan plan;
    plan.kind = *rc::gen::element(PartitionKind::kIid, PartitionKind::kDirichlet, PartitionKind::kShards);
    plan.devices = *rc::gen::inRange(1u, 30u);
    plan.alpha = *rc::gen::element(1e-6, 0.01, 0.5, 1.0, 100.0, 1e6);
    plan.shards_per_device = *rc::gen::inRange(1u, 4u);
    plan.minimum_examples = *rc::gen::inRange(0u, 6u);
    plan.held_out_share = *rc::gen::element(0.0, 0.1, 0.2, 0.9);
    plan.seed = *rc::gen::arbitrary<uint64_t>();
    const auto labels = Labels(*rc::gen::inRange<size_t>(600, 1000), *rc::gen::inRange(1u, 257u));
    plan.total = *rc::gen::element(0u, 600u);
    const auto shares = Partition(labels, plan);
    RC_ASSERT(shares.has_value());
    RC_ASSERT(shares->size() == plan.devices);
    std::set<uint32_t> seen;
    size_t dealt = 0;
    for (const DeviceShare& share : *shares) {
      const auto all = All(share);
      const size_t size = all.size();
      RC_ASSERT(size >= std::max(1u, plan.minimum_examples));
      RC_ASSERT(!share.training.empty());
      auto held_out = static_cast<size_t>(std::floor(plan.held_out_share * static_cast<double>(size)));
      if (plan.held_out_share > 0 && size >= 2) held_out = std::max<size_t>(1, held_out);
      RC_ASSERT(share.held_out.size() == held_out);
      RC_ASSERT(std::is_sorted(share.training.begin(), share.training.end()));
      seen.insert(all.begin(), all.end());
      dealt += size;
    }
    RC_ASSERT(seen.size() == dealt);
    RC_ASSERT(*seen.rbegin() < labels.size());
    const size_t used = plan.total ? plan.total : labels.size();
    const size_t unit = plan.kind == PartitionKind::kShards ? plan.devices * plan.shards_per_device : 1;
    RC_ASSERT(dealt == used / unit * unit);
    RC_ASSERT(Partition(labels, plan).value() == *shares);
  });
}

TEST(Partition, AnotherSeedDealsOtherwise) {
  const auto labels = Labels(1000);
  for (const auto kind : {PartitionKind::kIid, PartitionKind::kDirichlet, PartitionKind::kShards}) {
    PartitionPlan plan{.kind = kind, .devices = 5, .total = 500};
    const auto first = Partition(labels, plan).value();
    plan.seed = 2;
    EXPECT_NE(Partition(labels, plan).value(), first) << static_cast<int>(kind);
  }
}

TEST(Partition, IidIsEvenInNumbersAndLabels) {
  const auto labels = Labels(2003);
  const auto shares = Partition(labels, {.kind = PartitionKind::kIid, .devices = 10}).value();
  for (const auto& share : shares) {
    EXPECT_NEAR(static_cast<double>(All(share).size()), 200.3, 1);
    EXPECT_EQ(LabelsSeen(share, labels), 10);
  }
}

TEST(Partition, SmallAlphaMeansFewLabels) {
  const auto labels = Labels(4000);
  const auto mean_labels = [&](double alpha) {
    double sum = 0;
    const auto shares = Partition(labels, {.kind = PartitionKind::kDirichlet, .devices = 20, .alpha = alpha}).value();
    for (const auto& share : shares) sum += static_cast<double>(LabelsSeen(share, labels));
    return sum / 20;
  };
  EXPECT_LT(mean_labels(0.01), 3);
  EXPECT_GT(mean_labels(100), 9.5);
}

TEST(Partition, ShardsHoldFewLabels) {
  const auto labels = Labels(2000);
  const PartitionPlan plan{.kind = PartitionKind::kShards, .devices = 20, .shards_per_device = 2};
  // A shard of 50 out of about 200 per label touches at most two.
  const auto shares = Partition(labels, plan).value();
  for (const auto& share : shares) {
    EXPECT_EQ(All(share).size(), 100);
    EXPECT_LE(LabelsSeen(share, labels), 4);
  }
}

TEST(Partition, RefusesWhatCannotBeDealt) {
  const auto labels = Labels(100);
  const auto code = [&](PartitionPlan plan) { return Partition(labels, plan).error().code; };
  EXPECT_EQ(code({.devices = 0}), Code::kInvalidArgument);
  EXPECT_EQ(code({.devices = 51}), Code::kInvalidArgument);
  EXPECT_EQ(code({.devices = 5, .total = 101}), Code::kInvalidArgument);
  EXPECT_EQ(code({.devices = 5, .alpha = 0}), Code::kInvalidArgument);
  EXPECT_EQ(code({.devices = 5, .alpha = std::nan("")}), Code::kInvalidArgument);
  EXPECT_EQ(code({.devices = 5, .held_out_share = 1}), Code::kInvalidArgument);
  EXPECT_EQ(code({.kind = PartitionKind::kShards, .devices = 5, .shards_per_device = 0}), Code::kInvalidArgument);
  EXPECT_EQ(code({.kind = PartitionKind::kShards, .devices = 5, .shards_per_device = 21}), Code::kInvalidArgument);
  EXPECT_EQ(Partition({}, {}).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace tributary::partition_test

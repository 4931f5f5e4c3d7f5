#include "protocol/catalogue/tensor_table.h"

#include <functional>

#include <gtest/gtest.h>

#include "protocol/base/limits.h"
#include "tests/protocol/catalogue/small_publication.h"

namespace tributary::tensor_table_test {
namespace {

std::string CheckedAfter(const std::function<void(std::vector<TensorEntry>&)>& change) {
  TensorTable table = SmallTable();
  change(table.tensors);
  return Outcome(CheckTensorTable(table));
}

TEST(TensorTableTest, TakesWhatLiesWithoutGaps) {
  EXPECT_EQ(SmallTable().parameter_count(), 9u);
  EXPECT_EQ(CheckedAfter([](auto&) {}), "ok");
  EXPECT_EQ(CheckedAfter([](auto& tensors) { tensors.clear(); }), "ok");
  EXPECT_EQ(CheckedAfter([](auto& tensors) { tensors.push_back({"empty", {0, 4}, 9, 0}); }), "ok");
}

TEST(TensorTableTest, ContradictionsAreMalformed) {
  EXPECT_EQ(CheckedAfter([](auto& tensors) { tensors[1].offset = 7; }), "malformed");
  EXPECT_EQ(CheckedAfter([](auto& tensors) { tensors[1].offset = 5; }), "malformed");
  EXPECT_EQ(CheckedAfter([](auto& tensors) { tensors[0].offset = 1; }), "malformed");
  EXPECT_EQ(CheckedAfter([](auto& tensors) { tensors[2].size = 2; }), "malformed");
  EXPECT_EQ(CheckedAfter([](auto& tensors) { tensors[0].shape = {-2, -3}; }), "malformed");
  EXPECT_EQ(CheckedAfter([](auto& tensors) { tensors[0].name.clear(); }), "malformed");
  EXPECT_EQ(CheckedAfter([](auto& tensors) { tensors[2].name = "weight"; }), "malformed");
}

TEST(TensorTableTest, SizesOverTheLimitsAreTooLarge) {
  EXPECT_EQ(CheckedAfter([](auto& tensors) { tensors[0].name.assign(limits::kTensorNameBytes + 1, 'a'); }),
            "too-large");
  EXPECT_EQ(CheckedAfter([](auto& tensors) { tensors[2].shape.assign(limits::kTensorRank + 1, 1); }), "too-large");
  EXPECT_EQ(CheckedAfter([](auto& tensors) { tensors[2].shape.assign(3, int64_t{1} << 62); }), "too-large");
  EXPECT_EQ(CheckedAfter([](auto& tensors) {
              tensors[2] = {"big", {static_cast<int64_t>(limits::kParameters)}, 8, limits::kParameters};
            }),
            "too-large");
  EXPECT_EQ(CheckedAfter([](auto& tensors) { tensors.resize(limits::kTensors + 1); }), "too-large");
}

}  // namespace
}  // namespace tributary::tensor_table_test

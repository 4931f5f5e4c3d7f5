#include "aggregator/optimise/next_weights.h"

#include <limits>

#include <gtest/gtest.h>

#include "protocol/trust/seal/digest.h"
#include "tests/aggregator/sum/accumulate.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"

namespace tributary::next_weights_test {
namespace {

// The weights after an update of these values, which is the only one.
Result<std::vector<float>> NextWeights(const std::vector<float>& present, const std::vector<float>& update) {
  const TemporaryFolder folder;
  BlobStore blobs = Must(BlobStore::Open(RealFileSystem(), folder.path()));
  TaskRecord task;
  task.table.tensors = {{"a", {1}, 0, 1}, {"b.running_mean", {2}, 1, 2}, {"b.running_var", {2}, 3, 2}};
  WeightedSum sum(present.size(), FixedPointScale{40}, 4, 1);
  Must(Accumulate(sum, update, 1));
  const ByteView bytes = AsBytes(std::span<const float>(present));
  ASSIGN_OR_RETURN(const MadeVersion next, MakeNextWeights(blobs, {{Must(blobs.Put(bytes)), bytes.size()}}, sum, task));
  return ReadWeights(blobs, next.weights, present.size());
}

TEST(NextWeights, NoVarianceFallsBelowZeroByRounding) {
  EXPECT_EQ(*NextWeights({1, 2, 3, 4, 0.5F}, {-2, -4, 0, -3, -0.50001F}), (std::vector<float>{-1, -2, 3, 1, 0}));
}

TEST(NextWeights, AWeightThatIsNotFiniteIsNamed) {
  const auto next = NextWeights({0, 1, std::numeric_limits<float>::infinity(), 1, 1}, {0, 0, 0, 0, 0});
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code, Code::kNotFinite);
  EXPECT_EQ(next.error().message, "b.running_mean[1] would be inf");
}

// Larger than the pieces in which it is made, with a variance that lies in two of them.
TEST(NextWeights, PiecesMakeWhatTheWholeMakes) {
  constexpr uint64_t kCount = 600'000, kFirst = 262'000, kVariances = 500;
  std::vector<float> present(kCount), update(kCount);
  for (uint64_t i = 0; i < kCount; ++i) {
    present[i] = static_cast<float>(i % 977) / 1000;
    update[i] = static_cast<float>(i % 1009) / 1000 - 0.5F;
  }
  TaskRecord task;
  task.table.tensors = {{"a", {kFirst}, 0, kFirst},
                        {"b.running_var", {kVariances}, kFirst, kVariances},
                        {"c", {kCount - kFirst - kVariances}, kFirst + kVariances, kCount - kFirst - kVariances}};
  const TemporaryFolder folder;
  BlobStore blobs = Must(BlobStore::Open(RealFileSystem(), folder.path()));
  WeightedSum sum(kCount, FixedPointScale{40}, 4, 1);
  Must(Accumulate(sum, update, 1));
  const BlobRef before{Must(blobs.Put(AsBytes(std::span<const float>(present)))), kCount * sizeof(float)};
  const BlobRef next = Must(MakeNextWeights(blobs, {before}, sum, task)).weights;
  auto expected = MakeServerOptimizer({})->Step(present, Must(sum.Report()), 1, {});
  for (uint64_t i = kFirst; i < kFirst + kVariances; ++i) expected[i] = std::max(expected[i], 0.0F);
  EXPECT_EQ(Must(ReadWeights(blobs, next, kCount)), expected);
  EXPECT_EQ(next.digest, Sha256(AsBytes(std::span<const float>(expected))));
}

TEST(NextWeights, ADamagedByteOfThePresentOnesIsFoundAndLeavesNothing) {
  const TemporaryFolder folder;
  BlobStore blobs = Must(BlobStore::Open(RealFileSystem(), folder.path()));
  TaskRecord task;
  task.table.tensors = {{"a", {2}, 0, 2}};
  WeightedSum sum(2, FixedPointScale{40}, 4, 1);
  Must(Accumulate(sum, std::vector<float>{1, 2}, 1));
  const std::vector<float> present{1, 2};
  const BlobRef before{Must(blobs.Put(AsBytes(std::span<const float>(present)))), 8};
  Must(Must(RealFileSystem().OpenForWrite(blobs.PathOf(before.digest)))->WriteAt(2, Bytes{0x77}));
  EXPECT_EQ(MakeNextWeights(blobs, {before}, sum, task).error().code, Code::kDamagedBlob);
  EXPECT_EQ(Must(RealFileSystem().List(folder.path())).size(), 1u);
}

}  // namespace
}  // namespace tributary::next_weights_test

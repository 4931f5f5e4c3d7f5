#include "aggregator/optimise/optimizer_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aggregator/optimise/next_weights.h"
#include "tests/aggregator/sum/accumulate.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"

namespace tributary::optimizer_state_test {
namespace {

using testing::HasSubstr;

// A task of a few values: a trained tensor, statistics in between, and another one.
class OptimizerStateTest : public testing::Test {
 protected:
  OptimizerStateTest() {
    task_.table.tensors = {
        {"a", {3}, 0, 3}, {"b.running_mean", {2}, 3, 2}, {"b.running_var", {2}, 5, 2}, {"c", {1}, 7, 1}};
    task_.latest = ModelVersion{1};
    task_.server_optimizer = {.name = ServerOptimizerName::kFedAdam, .learning_rate = 0.5};
    const std::vector<float> first{1, 2, 3, 4, 5, 6, 7, 8};
    const ByteView bytes = AsBytes(std::span<const float>(first));
    present_.weights = {Must(blobs_.Put(bytes)), bytes.size()};
  }
  Result<MadeVersion> Next(std::vector<float> update = {1, -1, 0.5F, 0.25F, 0.5F, 1, -1, 2}) {
    WeightedSum sum(update.size(), FixedPointScale{40}, 4, 1);
    Must(Accumulate(sum, update, 1));
    return MakeNextWeights(blobs_, present_, sum, task_);
  }
  void Go(const MadeVersion& made) { present_ = {made.weights, made.optimizer_state}; }
  std::vector<float> Weights(const MadeVersion& made) { return Must(ReadWeights(blobs_, made.weights, 8)); }

  TemporaryFolder folder_;
  BlobStore blobs_ = Must(BlobStore::Open(RealFileSystem(), folder_.path()));
  TaskRecord task_;
  PresentVersion present_;
};

TEST_F(OptimizerStateTest, StatisticsAreAveragedAndAllElseIsOptimised) {
  const MadeVersion first = Must(Next());
  EXPECT_TRUE(first.optimizer_began);
  Go(first);
  const MadeVersion second = Must(Next());
  EXPECT_FALSE(second.optimizer_began);
  const auto weights = Weights(second);
  EXPECT_EQ(std::vector<float>(weights.begin() + 3, weights.begin() + 7), (std::vector<float>{4.5F, 6, 8, 5}));

  // The others, as the optimiser moves them without a file between.
  const auto optimizer = MakeServerOptimizer(task_.server_optimizer);
  std::vector<float> moved{1, 2, 3, 8}, kept(8);
  optimizer->Begin(kept);
  for (int step = 0; step < 2; ++step) moved = optimizer->Step(moved, std::vector<double>{1, -1, 0.5, 2}, 0.5, kept);
  EXPECT_EQ((std::vector<float>{weights[0], weights[1], weights[2], weights[7]}), moved);
  const Bytes state = Must(blobs_.ReadAll(second.optimizer_state->digest));
  ASSERT_EQ(state.size(), 32u + 4 * 8);
  EXPECT_EQ(state.size(), OptimizerStateBytes(task_));
  EXPECT_EQ(Must(ToFloats(ByteView(state).subspan(32), 8)), kept);
}

TEST_F(OptimizerStateTest, TheSameStepTwiceHasTheSameBits) {
  Go(Must(Next()));
  const MadeVersion once = Must(Next()), again = Must(Next());
  EXPECT_EQ(once.weights, again.weights);
  EXPECT_EQ(once.optimizer_state, again.optimizer_state);
}

TEST_F(OptimizerStateTest, AScheduleCountsItsStepsWhereNothingElseIsKept) {
  task_.server_optimizer = {.schedule = RateSchedule::kStep, .schedule_rounds = 1};
  Go(Must(Next()));
  ASSERT_EQ(present_.optimizer_state->size, 32u);
  const auto weights = Weights(Must(Next()));
  EXPECT_EQ(weights[0], 1 + 1 + 0.5F);
  EXPECT_EQ(weights[3], 4.5F) << "a statistic has no learning rate";
  task_.server_optimizer = {};
  const MadeVersion plain = Must(Next());
  EXPECT_FALSE(plain.optimizer_state);
  EXPECT_FALSE(plain.optimizer_began);
}

TEST_F(OptimizerStateTest, AnotherOptimizerBeginsAnew) {
  Go(Must(Next()));
  task_.server_optimizer.name = ServerOptimizerName::kFedYogi;
  const MadeVersion yogi = Must(Next());
  EXPECT_TRUE(yogi.optimizer_began);
  present_.optimizer_state.reset();
  EXPECT_EQ(Must(Next()).weights, yogi.weights);
}

TEST_F(OptimizerStateTest, ADamagedByteOfTheStateIsFoundWhereverItLies) {
  const MadeVersion first = Must(Next());
  const Digest digest = first.optimizer_state->digest;
  const Bytes whole = Must(blobs_.ReadAll(digest));
  Go(first);
  const auto files = [&] { return Must(RealFileSystem().List(folder_.path())).size(); };
  for (const size_t at : {size_t{0}, size_t{8}, size_t{16}, size_t{24}, whole.size() - 1}) {
    SCOPED_TRACE(at);
    Must(blobs_.Put(whole));
    Must(Must(RealFileSystem().OpenForWrite(blobs_.PathOf(digest)))
             ->WriteAt(at, Bytes{static_cast<uint8_t>(whole[at] ^ 1)}));
    const auto next = Next();
    ASSERT_FALSE(next);
    EXPECT_EQ(next.error().code, Code::kDamagedBlob);
    EXPECT_THAT(next.error().message, HasSubstr("roll back"));
    EXPECT_FALSE(blobs_.Has(digest));
    EXPECT_EQ(files(), 3u) << "both weights and the state, set aside; what was begun is gone";
  }
  Must(blobs_.Put(whole));
  EXPECT_TRUE(Next());
}

// More values than a piece of weights has.
TEST_F(OptimizerStateTest, PiecesKeepWhatTheWholeKeeps) {
  constexpr uint64_t kCount = 200'000;
  task_.table.tensors = {{"a", {kCount}, 0, kCount}};
  std::vector<float> weights(kCount, 1), update(kCount);
  for (uint64_t i = 0; i < kCount; ++i) update[i] = static_cast<float>(i % 1009) / 1000 - 0.5F;
  const ByteView bytes = AsBytes(std::span<const float>(weights));
  present_ = {{Must(blobs_.Put(bytes)), bytes.size()}};
  const auto optimizer = MakeServerOptimizer(task_.server_optimizer);
  std::vector<float> kept(2 * kCount);
  optimizer->Begin(kept);
  for (int step = 0; step < 2; ++step) {
    WeightedSum sum(kCount, FixedPointScale{40}, 4, 1);
    Must(Accumulate(sum, update, 1));
    weights = optimizer->Step(weights, Must(sum.Report()), 0.5, kept);
    Go(Must(MakeNextWeights(blobs_, present_, sum, task_)));
  }
  EXPECT_EQ(present_.weights.digest, Sha256(AsBytes(std::span<const float>(weights))));
  EXPECT_EQ(Must(ToFloats(ByteView(Must(blobs_.ReadAll(present_.optimizer_state->digest))).subspan(32), 2 * kCount)),
            kept);
}

}  // namespace
}  // namespace tributary::optimizer_state_test

#include <algorithm>
#include <cmath>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aggregator/optimise/next_weights.h"
#include "aggregator/round/round_rule.h"
#include "aggregator/sum/weighted_sum.h"
#include "protocol/payload/update_codec.h"
#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/must.h"

namespace tributary::buffered_test {
namespace {

constexpr ModelVersion kV1{1}, kV2{2}, kV3{3}, kV4{4};

RoundPolicy Buffered(uint32_t buffer, uint32_t max_staleness = 4) {
  RoundPolicy policy{.report_goal = buffer, .minimum = buffer, .deadline_seconds = 60};
  policy.kind = RoundKind::kBuffered;
  policy.max_staleness = max_staleness;
  return policy;
}

class BufferedFleet : public RoundFixture {
 public:
  void Create(const RoundPolicy& policy) {
    TaskRecord task = NewTask(policy);
    SetFormerBounds(task);  // no update is scaled by its norm
    Must(core().tasks().Create(task, PutInitialWeights()));
    Must(core().rounds().Start(task_id, 100));
  }
  // The update that this device makes of that version, always the same.
  SealedUpload From(int device, ModelVersion base) {
    return Update(device, base, {.weight = 10u + static_cast<unsigned>(device)});
  }
  std::vector<float> Values(int device, ModelVersion base) {
    const Bytes plaintext = Plaintext(device, base, {.weight = 10u + static_cast<unsigned>(device)});
    return Must(DecodeUpdate(UpdateFormat(Codec::kFloat32Dense), plaintext));
  }
  ModelVersion Latest() { return Must(core().tasks().Get(task_id)).latest; }
  std::vector<float> Weights(ModelVersion version) {
    const VersionRecord record = Must(core().tasks().Version(task_id, version));
    return Must(ReadWeights(core().tasks().blobs(), record.weights, kTestParameters));
  }
  std::vector<ModelVersion> Accepted() {
    return Must(OpenPublication(core().publication().bytes(), fleet.anchor(), clock.Now())).tasks.at(0).accepted;
  }
};

class BufferedTest : public testing::Test, protected BufferedFleet {};

TEST(StalenessShare, IsOneOverTheSquareRoot) {
  EXPECT_EQ(RoundRule::ShareOf(0), kWholeShare);
  EXPECT_EQ(RoundRule::ShareOf(1), 759250125u);  // 2^30 / sqrt(2) = 759250124.99
  EXPECT_EQ(RoundRule::ShareOf(3), kWholeShare / 2);
  EXPECT_EQ(RoundRule::ShareOf(8), 357913941u);  // 2^30 / 3 = 357913941.33
}

TEST_F(BufferedTest, AnUpdateThatIsBehindCountsLess) {
  Create(Buffered(2));
  for (int device : {1, 2}) Must(Give(From(device, kV1)));
  for (int device : {3, 4}) Must(Give(From(device, kV2)));
  ASSERT_EQ(Latest(), kV3);
  EXPECT_EQ(Accepted(), (std::vector{kV1, kV2, kV3}));
  // Device 5 is two versions behind, device 6 is not.
  Must(Give(From(5, kV1)));
  Must(Give(From(6, kV3)));
  ASSERT_EQ(Latest(), kV4);
  const auto before = Weights(kV3), after = Weights(kV4), five = Values(5, kV1), six = Values(6, kV3);
  const double share = 1 / std::sqrt(3.0);
  for (size_t i = 0; i < after.size(); ++i) {
    const double mean = (15 * share * double{five[i]} + 16 * double{six[i]}) / (15 * share + 16);
    EXPECT_NEAR(after[i], before[i] + mean, 1e-7) << i;
  }
  const RoundRecord round = Must(core().rounds().Get(task_id, 3));
  EXPECT_EQ(round.staleness, (std::vector<uint64_t>{1, 0, 1}));
  EXPECT_EQ(round.total_weight, 31u);
  CheckAccounts();
}

// Updates of three versions, in any order, with restarts between.
TEST(BufferedProperty, AnyOrderGivesTheSameBits) {
  const auto run = [](const std::vector<int>& order, const std::set<size_t>& restarts) {
    BufferedFleet fleet;
    fleet.Create(Buffered(2));
    for (int device : {1, 2}) Must(fleet.Give(fleet.From(device, kV1)));
    for (int device : {3, 4}) Must(fleet.Give(fleet.From(device, kV2)));
    for (size_t i = 0; i < order.size(); ++i) {
      const ModelVersion bases[] = {kV1, kV2, kV3, kV3, kV1};
      const SealedUpload upload = fleet.From(5 + order[i], bases[order[i]]);
      Must(fleet.Give(upload));
      if (restarts.contains(i)) {
        Must(fleet.core().Flush());
        fleet.Reopen();
      }
    }
    TRIBUTARY_CHECK(fleet.Latest() == kV4) << Number(fleet.Latest());
    return fleet.LatestDigest();
  };
  // Two updates make a version: every pair, both ways.
  for (int one = 0; one < 5; ++one) {
    for (int other = one + 1; other < 5; ++other) {
      const Digest digest = run({one, other}, {});
      EXPECT_EQ(run({other, one}, {0}), digest) << one << " " << other;
    }
  }
}

TEST(BufferedProperty, WithoutStalenessItIsTheSynchronousRoundToTheBit) {
  for (const uint32_t max_staleness : {0u, 4u}) {
    BufferedFleet buffered, synchronous;
    buffered.Create(Buffered(3, max_staleness));
    synchronous.Create({.report_goal = 3, .minimum = 3, .deadline_seconds = 60});
    for (uint64_t base = 1; base <= 3; ++base) {
      for (BufferedFleet* fleet : {&buffered, &synchronous}) {
        for (int device : {1, 2, 3}) Must(fleet->Give(fleet->From(device, ModelVersion{base})));
      }
      EXPECT_EQ(buffered.LatestDigest(), synchronous.LatestDigest());
      EXPECT_EQ(Must(buffered.core().rounds().Get(buffered.task_id, base)).aggregate_digest,
                Must(synchronous.core().rounds().Get(synchronous.task_id, base)).aggregate_digest);
    }
  }
}

TEST_F(BufferedTest, ADeviceCountsOncePerBaseVersion) {
  Create(Buffered(2));
  for (int device : {1, 2}) Must(Give(From(device, kV1)));
  EXPECT_EQ(CodeOf(Give(From(1, kV1))), Code::kDuplicate) << "an older round has it";
  Must(Give(From(3, kV1)));
  EXPECT_EQ(CodeOf(Give(From(3, kV1))), Code::kBusy) << "it is in the sum";
  EXPECT_EQ(CodeOf(Give(Update(3, kV1, {.upload = 77}))), Code::kDuplicate) << "so is another of its uploads";
  Must(core().Flush());
  Reopen();
  EXPECT_EQ(CodeOf(Give(From(3, kV1))), Code::kDuplicate) << "also after a restart";
  Must(Give(From(3, kV2)));
  EXPECT_EQ(Latest(), kV3) << "of another version it counts";
  EXPECT_EQ(Must(core().rounds().Get(task_id, 2)).staleness, (std::vector<uint64_t>{1, 1}));
  CheckAccounts();
}

TEST_F(BufferedTest, TooOldAndFromBeforeARollbackIsStale) {
  Create(Buffered(1, 2));
  for (uint64_t base = 1; base <= 4; ++base) Must(Give(From(1, ModelVersion{base})));
  EXPECT_EQ(Accepted(), (std::vector{kV3, kV4, ModelVersion{5}}));
  EXPECT_EQ(CodeOf(Give(From(2, kV2))), Code::kStaleVersion);
  Must(Give(From(2, kV3)));
  Must(core().rounds().RollBack(task_id, kV2, "it forgot the sevens"));
  const ModelVersion back{7};
  ASSERT_EQ(Latest(), back);
  EXPECT_EQ(Accepted(), (std::vector{back}));
  EXPECT_EQ(CodeOf(Give(From(3, ModelVersion{6}))), Code::kStaleVersion);
  Reopen();
  EXPECT_EQ(CodeOf(Give(From(3, ModelVersion{6}))), Code::kStaleVersion) << "also after a restart";
  Must(Give(From(3, back)));
  EXPECT_EQ(Accepted(), (std::vector{back, ModelVersion{8}}));
}

TEST_F(BufferedTest, ContributionsAreRememberedAsLongAsTheirVersionIsAccepted) {
  Create(Buffered(1, 20));
  for (uint64_t base = 1; base <= 20; ++base) Must(Give(From(1, ModelVersion{base})));
  EXPECT_EQ(Accepted().size(), 21u);
  EXPECT_EQ(CodeOf(Give(From(1, kV1))), Code::kDuplicate);
  Must(Give(From(2, kV1)));
  EXPECT_EQ(LastRound().base, ModelVersion{22});
}

// The sum of a round that fell short goes on, and with it how stale its updates were.
TEST_F(BufferedTest, ARoundThatFellShortKeepsItsStaleUpdates) {
  Create(Buffered(2));
  for (int device : {1, 2}) Must(Give(From(device, kV1)));
  Must(Give(From(3, kV1)));
  Pass(Millis(61'000));
  EXPECT_EQ(Must(core().rounds().Get(task_id, 2)).state, RoundState::kFailed);
  Reopen();
  EXPECT_EQ(LastRound().staleness, (std::vector<uint64_t>{0, 1}));
  Must(Give(From(4, kV2)));
  EXPECT_EQ(Latest(), kV3);
  EXPECT_EQ(Must(core().rounds().Get(task_id, 3)).staleness, (std::vector<uint64_t>{1, 1}));
}

// A round's bounds follow all of its updates, whatever their version.
TEST_F(BufferedTest, TheNextBoundsFollowTheMedianOfTheRoundsUpdates) {
  TaskRecord task = NewTask(Buffered(2));
  task.norm_medians = 1;
  Must(core().tasks().Create(task, PutInitialWeights()));
  Must(core().rounds().Start(task_id, 100));
  for (int device : {1, 2}) Must(Give(Update(device, kV1, {.scale = 0.1F})));
  for (int device : {3, 4}) Must(Give(Update(device, device == 3 ? kV1 : kV2, {.scale = 0.02F})));
  ASSERT_EQ(Latest(), kV3);
  const double first = Must(core().tasks().Version(task_id, kV2)).bounds.norm;
  const double second = Must(core().tasks().Version(task_id, kV3)).bounds.norm;
  EXPECT_NEAR(second / first, 0.2, 0.05);
}

}  // namespace
}  // namespace tributary::buffered_test

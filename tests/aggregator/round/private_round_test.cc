#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aggregator/privacy/gaussian_curve.h"
#include "tests/aggregator/round/private_fixture.h"

// Rounds of a private task: what is added to a sum, who may be in it, what is said of it, and when it ends.
namespace tributary::private_round_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr ModelVersion kV1{1}, kV2{2}, kV3{3};

std::vector<int64_t> Sum(std::vector<int64_t> one, const std::vector<int64_t>& other) {
  std::ranges::transform(one, other, one.begin(), std::plus<>());
  return one;
}

struct PrivateRoundTest : testing::Test, PrivateFixture {};

TEST_F(PrivateRoundTest, AVersionIsTheExactSumAndItsNoiseOverAFixedDenominator) {
  const TaskRecord task = CreatePrivate();
  Must(core().rounds().Start(task_id, 1));
  std::vector<int64_t> sum = NoiseOf(1);
  for (const int device : {1, 2}) sum = Sum(sum, WholeUpdate(device, kV1));
  GiveAll(kV1, 1, 2);
  Pass(std::chrono::seconds(600));  // two of three are enough then
  std::vector<float> expected = Weights(kV1);
  for (size_t i = 0; i < expected.size(); ++i)
    expected[i] = static_cast<float>(double{expected[i]} + task.scale.ToReal(sum[i]) / 3);
  EXPECT_EQ(Weights(kV2), expected);
  EXPECT_EQ(LastRound().contributions, 2u);
}

TEST_F(PrivateRoundTest, TheNoiseHasTheDeviationThatIsCharged) {
  const TaskRecord task = CreatePrivate();
  const PrivacyForm form = Must(PrivacyFormOf(task));
  Must(core().rounds().Start(task_id, 1));
  const auto noise = NoiseOf(1);
  ASSERT_EQ(noise.size(), kTestParameters);
  double squares = 0;
  for (const int64_t value : noise) squares += static_cast<double>(value) * static_cast<double>(value);
  const double sigma = std::sqrt(squares / kTestParameters);
  const double clip = std::ldexp(task.first_norm, task.scale.fraction_bits);
  EXPECT_NEAR(sigma / clip, 1, 0.25) << "six deviations of 300 values";
  EXPECT_GE(clip, 0x1p12);
  EXPECT_GE(form.multiplier, 1) << "of the whole norm, which is a little more than the clip";
  EXPECT_LT(form.multiplier, 1.0001);
  EXPECT_GT(static_cast<double>(form.whole_norm), clip);
  EXPECT_LT(static_cast<double>(form.whole_norm), clip * 1.0001 + 10);
}

// Neither memory that is written down nor the digest that is shown is of a sum without noise.
TEST_F(PrivateRoundTest, NoSumWithoutNoiseIsOnDiskOrShown) {
  CreatePrivate();
  Must(core().rounds().Start(task_id, 1));
  const auto noise = NoiseOf(1);
  GiveAll(kV1, 1, 2);
  Must(core().Flush());
  const auto bare = Sum(WholeUpdate(1, kV1), WholeUpdate(2, kV1));
  EXPECT_EQ(Checkpointed(), Sum(bare, noise));
  EXPECT_FALSE(RealFileSystem().Size(FileOf("digits-1.noise")))
      << "the checkpoint holds it; a file of it would undo it";
  EXPECT_EQ(LastRound().scaled, 0u);
}

TEST_F(PrivateRoundTest, WhatIsOverTheClipIsScaledDownAndNobodyCountsIt) {
  const TaskRecord task = CreatePrivate();
  Must(core().rounds().Start(task_id, 1));
  const auto noise = NoiseOf(1);
  Must(Give(Update(1, kV1, {.scale = 0.5F})));  // a norm of about 5
  Must(core().Flush());
  double squares = 0;
  const auto sum = Checkpointed();
  for (size_t i = 0; i < sum.size(); ++i) squares += std::pow(static_cast<double>(sum[i] - noise[i]), 2);
  const double clip = std::ldexp(1.0, task.scale.fraction_bits);
  EXPECT_NEAR(std::sqrt(squares), clip, 1e-4 * clip);
  EXPECT_LE(std::sqrt(squares), static_cast<double>(Must(PrivacyFormOf(task)).whole_norm));
  EXPECT_EQ(LastRound().scaled, 0u);
  EXPECT_EQ(LastRound().capped, 0u) << "it claimed 10 examples";
  EXPECT_EQ(core().rounds().Contributions(task_id, 1).error().code, Code::kNotFound) << "its norm is nobody's business";
  EXPECT_EQ(LastRound().total_weight, 1u);
}

TEST_F(PrivateRoundTest, ASumKeepsItsNoiseOverAFailedRoundACancelledOneAndRestarts) {
  CreatePrivate();
  Must(core().rounds().Start(task_id, 1));
  std::vector<int64_t> sum = Sum(NoiseOf(1), WholeUpdate(1, kV1));
  Must(Give(Update(1, kV1)));
  Pass(std::chrono::seconds(600));
  ASSERT_EQ(LastRound().state, RoundState::kFailed);
  Reopen();
  EXPECT_EQ(Checkpointed(), sum) << "on the shelf";
  Must(core().rounds().Start(task_id, 1));
  Must(Give(Update(2, kV1)));
  Must(core().Flush());
  Reopen();
  sum = Sum(sum, WholeUpdate(2, kV1));
  EXPECT_EQ(Checkpointed(), sum);
  Must(core().rounds().Cancel(task_id));
  Must(core().rounds().Start(task_id, 1));
  EXPECT_EQ(Checkpointed(), sum);
  Must(Give(Update(3, kV1)));
  ASSERT_EQ(LastRound().state, RoundState::kCompleted);
  ASSERT_EQ(OpenLedger().charges().size(), 1u) << "three rounds, one sum";
  EXPECT_EQ(OpenLedger().charges()[0].number, 1u);
}

TEST_F(PrivateRoundTest, AThrownAwaySumTakesItsNoiseWithIt) {
  CreatePrivate();
  Must(core().rounds().Start(task_id, 3));
  GiveAll(kV1);
  Must(Give(Update(1, kV2)));
  Must(core().Flush());
  Must(core().rounds().RollBack(task_id, kV1, "worse"));
  const auto next = NoiseOf(3);
  Must(Give(Update(2, kV3)));
  Must(core().Flush());
  EXPECT_EQ(Checkpointed(), Sum(next, WholeUpdate(2, kV3)));
  GiveAll(kV3, 3, 4);
  const Ledger ledger = OpenLedger();
  const auto charges = ledger.charges();
  ASSERT_EQ(charges.size(), 2u);
  EXPECT_EQ(charges[1].number, 3u) << "the noise of draw 2 was seen by nobody";
}

TEST_F(PrivateRoundTest, RoundsEndWithTheBudgetAndSayWhy) {
  CreatePrivate();  // noise 1: 5.0, 7.5, then 9.6 of 8
  Must(core().rounds().Start(task_id, 10));
  GiveAll(kV1);
  GiveAll(kV2);
  EXPECT_EQ(Latest(), kV3);
  EXPECT_EQ(CodeOf(Give(Update(1, kV3))), Code::kRoundClosed);
  Pass(std::chrono::seconds(1000));
  Reopen();
  Pass(std::chrono::seconds(1));
  EXPECT_EQ(Latest(), kV3);
  EXPECT_EQ(Must(core().rounds().List(task_id)).size(), 2u) << "the third was never opened";
  EXPECT_EQ(Must(core().tasks().Get(task_id)).rounds_wanted, 0u);
  const auto stopped = std::ranges::find(listener.events, "rounds.stopped", &CoreEvent::name);
  ASSERT_NE(stopped, listener.events.end());
  const double delta = 1e-6;
  const std::string once = fmt::format("{:.4g} of 8", GaussianEpsilon(1 / std::sqrt(2.0), delta));
  EXPECT_THAT(stopped->detail, AllOf(HasSubstr("the privacy budget of digits is spent"), HasSubstr("1e-06")));
  const auto started = core().rounds().Start(task_id, 1);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::kConflict);
  EXPECT_EQ(started.error().message, stopped->detail);
  const PrivacyStanding standing = Standing();
  EXPECT_EQ(standing.stopped, stopped->detail);
  EXPECT_NEAR(standing.spent, GaussianEpsilon(1 / std::sqrt(2.0), delta), 1e-3) << once;
  EXPECT_LE(standing.spent, 8);
  ASSERT_EQ(standing.versions.size(), 2u);
  EXPECT_EQ(standing.versions[1].version, kV3);
  EXPECT_EQ(standing.versions[1].spent.ledger, OpenLedger().position());
  EXPECT_NEAR(standing.versions[0].spent.epsilon, GaussianEpsilon(1, delta), 1e-3);
  CheckAccounts();
}

TEST_F(PrivateRoundTest, NobodyIsInMoreSumsThanItsPrivacyPermits) {
  CreatePrivate({.epsilon = 8, .noise = 1, .participations = 2});
  Must(core().rounds().Start(task_id, 3));
  GiveAll(kV1);
  GiveAll(kV2);
  Reopen();
  const SealedUpload third = Update(1, kV3);
  const Status refused = Give(third);
  EXPECT_EQ(CodeOf(refused), Code::kQuotaExceeded);
  EXPECT_THAT(refused.error().message, HasSubstr("was in 2 sums of digits, the most that its privacy permits"));
  EXPECT_EQ(CodeOf(Admit(third.header)), Code::kQuotaExceeded) << "before its bytes come";
  GiveAll(kV3, 4, 6);
  EXPECT_EQ(Latest(), ModelVersion{4});
  EXPECT_NEAR(Standing().spent, GaussianEpsilon(1 / std::sqrt(2.0), 1e-6), 1e-3)
      << "a third version costs nobody who was in two";
  EXPECT_TRUE(core().rounds().Start(task_id, 1)) << "for those who are new";
}

TEST_F(PrivateRoundTest, ADeviceComesBackAfterItsSeparation) {
  CreatePrivate({.epsilon = 8, .noise = 1, .rounds = 6, .separation = 3});
  Must(core().rounds().Start(task_id, 6));
  for (int version = 1; version <= 3; ++version) {
    const ModelVersion base{static_cast<uint64_t>(version)};
    if (version > 1) {
      const Status refused = Give(Update(1, base));
      EXPECT_EQ(CodeOf(refused), Code::kQuotaExceeded);
      EXPECT_THAT(refused.error().message, HasSubstr("may be in no other before sum 4"));
    }
    GiveAll(base, 3 * version - 2, 3 * version);
  }
  GiveAll(ModelVersion{4}, 1, 3);
  EXPECT_EQ(Latest(), ModelVersion{5});
}

// Who may not take part is not waited for.
TEST_F(PrivateRoundTest, ARoundOfDevicesThatMayNotTakePartFailsAtOnce) {
  for (int device = 1; device <= 3; ++device) {
    EnrolledMember member;
    member.id = TestDevice("d" + std::to_string(device));
    member.role = Role::kDevice;
    member.state = EnrolmentState::kActive;
    member.token = "t";
    enrolled.push_back(member);
  }
  CreatePrivate({.epsilon = 8, .noise = 1, .participations = 1});
  Must(core().rounds().Start(task_id, 1));
  GiveAll(kV1);
  Must(core().rounds().Start(task_id, 1));
  for (int i = 0; i < 10; ++i) Pass(std::chrono::seconds(3));
  EXPECT_EQ(LastRound().state, RoundState::kFailed);
  EXPECT_THAT(LastRound().shortfall, HasSubstr("3 quota-exceeded; at most 0 updates can come"));
}

TEST_F(PrivateRoundTest, NoClockLowersWhatWasSpent) {
  CreatePrivate();
  Must(core().rounds().Start(task_id, 2));
  GiveAll(kV1);
  const double spent = Standing().spent;
  const WallTime now = clock.Now();
  for (const auto jump : {std::chrono::hours(-100'000), std::chrono::hours(300'000), std::chrono::hours(0)}) {
    clock.SetWall(now + Millis(jump));
    Reopen();
    EXPECT_EQ(Standing().spent, spent);
  }
  GiveAll(kV2);
  EXPECT_GT(Standing().spent, spent);
  EXPECT_FALSE(core().rounds().Start(task_id, 1));
}

// ---- correlated noise

constexpr PrivacyPolicy kCorrelated{
    .epsilon = 20, .accounting = Accounting::kCorrelated, .rounds = 100, .separation = 20, .accept_noise = true};

struct CorrelatedRoundTest : PrivateRoundTest {
  // Noise, then for each buffer of the Blt as many.
  std::vector<int64_t> FileValues(uint64_t draw) { return Whole(FileOf(fmt::format("digits-{}.noise", draw)), 0); }
};

TEST_F(CorrelatedRoundTest, EachDrawTakesBackWhatItsBuffersSayAlsoOverRestarts) {
  const TaskRecord task = CreatePrivate(kCorrelated);
  const PrivacyForm form = Must(PrivacyFormOf(task));
  ASSERT_TRUE(form.blt);
  const size_t buffers = form.blt->buffers.size();
  Must(core().rounds().Start(task_id, 4));
  std::vector<std::vector<int64_t>> drawn;
  for (uint64_t version = 1; version <= 4; ++version) {
    drawn.push_back(FileValues(version));
    ASSERT_EQ(drawn.back().size(), kTestParameters * (1 + buffers));
    const int first = static_cast<int>(3 * version - 2);
    GiveAll(ModelVersion{version}, first, first + 2);
    Reopen();
    Pass(Millis(100));
  }
  __extension__ using Wide = __int128;
  const auto rounded = [](Wide value, int places) { return (value + (Wide{1} << (places - 1))) >> places; };
  double taken_back = 0, whole = 0;
  for (size_t draw = 1; draw < drawn.size(); ++draw) {
    for (size_t at = 0; at < kTestParameters; ++at) {
      Wide back = 0;
      for (size_t i = 0; i < buffers; ++i) {
        const auto& [decay, weight] = form.blt->buffers[i];
        const int64_t before = drawn[draw - 1][(1 + i) * kTestParameters + at];
        ASSERT_EQ(drawn[draw][(1 + i) * kTestParameters + at],
                  static_cast<int64_t>(rounded(Wide{decay} * before, 30) + (Wide{drawn[draw][at]} << 24)));
        back += Wide{weight} * before;
      }
      const auto expected = -static_cast<double>(rounded(back, 54));
      taken_back += expected * static_cast<double>(drawn[draw][at]);
      whole += expected * expected;
    }
  }
  // Noise = z + what is taken back, z independent of it.
  EXPECT_NEAR(taken_back / whole, 1, 0.5);
  const Ledger ledger = OpenLedger();
  const auto charges = ledger.charges();
  ASSERT_EQ(charges.size(), 1u) << "a run is paid once";
  EXPECT_EQ(charges[0].kind, Charge::Kind::kRun);
  EXPECT_NEAR(Standing().spent, 20, 0.01);
  EXPECT_LE(Standing().spent, 20);
}

TEST_F(CorrelatedRoundTest, TheRunEndsAfterItsRounds) {
  PrivacyPolicy privacy = kCorrelated;
  privacy.rounds = 24;
  privacy.separation = 4;
  CreatePrivate(privacy);
  Must(core().rounds().Start(task_id, 30));
  for (uint64_t version = 1; version <= 24; ++version) {
    const int first = 1 + 3 * static_cast<int>((version - 1) % 4);
    GiveAll(ModelVersion{version}, first, first + 2);
  }
  EXPECT_EQ(Latest(), ModelVersion{25});
  EXPECT_EQ(listener.CountOf("rounds.stopped"), 1u);
  EXPECT_THAT(Standing().stopped, HasSubstr("is spent"));
}

}  // namespace
}  // namespace tributary::private_round_test

#include "aggregator/privacy/ledger.h"

#include <cmath>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aggregator/privacy/gaussian_curve.h"
#include "aggregator/privacy/privacy_loss.h"
#include "tests/support/manual_clock.h"
#include "tests/support/must.h"
#include "tests/support/outcome.h"
#include "tests/support/power_disk.h"
#include "tests/support/temporary_folder.h"

namespace tributary::ledger_test {
namespace {

using testing::HasSubstr;

const TaskId kTask = Must(TaskId::Parse("digits"));
const PrivacyTerms kTerms{.epsilon = 8, .delta = 1e-6, .participations = 5};

Digest NoiseOf(uint64_t number) {
  Digest digest;
  digest.mutable_view()[0] = static_cast<uint8_t>(number);
  digest.mutable_view()[31] = 0xab;
  return digest;
}
Charge Round(uint64_t number, double multiplier = 5) {
  return {.number = number, .multiplier = multiplier, .noise = NoiseOf(number)};
}
Charge Lost(uint64_t count, double multiplier = 5) {
  return {.kind = Charge::Kind::kLost, .number = 1, .count = count, .multiplier = multiplier};
}
double Exact(double times, double multiplier = 5) {
  return times == 0 ? 0 : GaussianEpsilon(ComposedMultiplier(multiplier, times), kTerms.delta);
}

class LedgerTest : public testing::Test {
 protected:
  Ledger::Surroundings Around() { return {RealFileSystem(), file_, clock_}; }
  Result<Ledger> Open(const LedgerPosition& known = {}) { return Ledger::Open(Around(), kTask, kTerms, known); }
  std::string Text() { return std::string(AsText(Must(ReadFile(RealFileSystem(), file_, 100'000'000)))); }
  void SetText(const std::string& text) { std::ofstream(file_, std::ios::binary) << text; }

  TemporaryFolder folder_;
  const Path file_ = folder_ / "privacy.ledger";
  ManualClock clock_;
};

TEST_F(LedgerTest, ALineIsWhatTheHeaderSays) {
  Ledger ledger = Must(Open());
  Must(ledger.Record(Round(1, 2.5)));
  // printf '%s%s' "$(printf '0%.0s' {1..64})" '1 1767225600000 terms … 5 ' | sha256sum; and so on.
  EXPECT_EQ(Text(),
            "1 1767225600000 terms digits participations 8 1e-06 5 "
            "752d77527352dcca2212066d1b7e7b55d62b43d6f7edc0703e8c8c88cf39a4cd\n"
            "2 1767225600000 round 1 1 2.5 1 01000000000000000000000000000000000000000000000000000000000000ab "
            "295d6f1c3f8e9263f6cdca00cbd1222ce9125adc9cf7db7d19d707b50880a083\n");
}

// The known answers of participations: ten rounds with z = 5 are 2.921601, and a device is in at most five.
TEST_F(LedgerTest, ADevicesDearestRoundsAreSpent) {
  Ledger ledger = Must(Open());
  EXPECT_EQ(ledger.spent(), 0);
  for (uint64_t number = 1; number <= 5; ++number) {
    Must(ledger.Record(Round(number)));
    EXPECT_NEAR(ledger.spent(), Exact(static_cast<double>(number)), 1e-9);
  }
  const double five = ledger.spent();
  for (uint64_t number = 6; number <= 10; ++number) Must(ledger.Record(Round(number)));
  EXPECT_EQ(ledger.spent(), five);
  Must(ledger.Record(Round(11, 2)));  // dearer: it takes the place of another
  EXPECT_NEAR(ledger.spent(), Exact(1, 1 / std::sqrt(4 / 25.0 + 1 / 4.0)), 1e-9);
  EXPECT_NEAR(Exact(10), 2.921601, 1e-5);
}

TEST_F(LedgerTest, WhatWouldExceedTheBudgetIsNotRecorded) {
  Ledger ledger = Must(Open());
  Must(ledger.Record(Round(1, 1)));
  const std::string before = Text();
  const auto refused = ledger.Record(Round(2, 0.7));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kConflict);
  EXPECT_THAT(refused.error().message, HasSubstr("of 8 at delta 1e-06"));
  EXPECT_EQ(Text(), before);
  Must(ledger.Record(Round(2, 3)));
}

TEST_F(LedgerTest, ARoundHasOneNoiseAndIsChargedOnce) {
  LedgerPosition position;
  {
    Ledger ledger = Must(Open());
    position = Must(ledger.Record(Round(1)));
    EXPECT_EQ(Must(ledger.Record(Round(1))), position);
  }
  Ledger later = Must(Open(position));
  EXPECT_EQ(Must(later.Record(Round(1))), position);
  Charge other = Round(1);
  other.noise = NoiseOf(2);
  const auto refused = later.Record(other);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("seen under two noises"));
  EXPECT_NEAR(later.spent(), Exact(1), 1e-9);
}

TEST_F(LedgerTest, ARunIsPaidForOnceAndItsRoundsCostNothing) {
  PrivacyTerms terms = kTerms;
  terms.accounting = Accounting::kCorrelated;
  Ledger ledger = Must(Ledger::Open(Around(), kTask, terms, {}));
  Must(ledger.Record({.kind = Charge::Kind::kRun, .number = 1, .multiplier = 3}));
  for (uint64_t number = 1; number <= 20; ++number) Must(ledger.Record(Round(number, 3)));
  EXPECT_NEAR(ledger.spent(), GaussianEpsilon(3, 1e-6), 1e-9);
  Must(ledger.Record({.kind = Charge::Kind::kRun, .number = 21, .multiplier = 3}));
  EXPECT_NEAR(ledger.spent(), Exact(2, 3), 1e-9);
}

TEST_F(LedgerTest, PrivateCoinsAreAddedUpByTheTightAccountant) {
  PrivacyTerms terms{.accounting = Accounting::kPrivateCoin, .epsilon = 3, .delta = 1e-6};
  Ledger ledger = Must(Ledger::Open(Around(), kTask, terms, {}));
  for (uint64_t number = 1; number <= 4; ++number) {
    Charge charge = Round(number, 1);
    charge.inclusion = 0.01;
    Must(ledger.Record(charge));
  }
  const SampledRounds sampled[] = {{0.01, 1, 4}};
  EXPECT_LE(ledger.spent(), PrivacyLossEpsilon(sampled, 1e-6));
  EXPECT_GT(ledger.spent(), 0.1);
}

// Nobody remembers who was in the lost rounds: all of them count for everybody, beside the dearest that are known.
TEST_F(LedgerTest, ARestoredBackupIsFoundOutAndWhatWasLostIsCharged) {
  std::string backup;
  LedgerPosition position;
  {
    Ledger ledger = Must(Open());
    for (uint64_t number = 1; number <= 6; ++number) Must(ledger.Record(Round(number)));
    backup = Text();
    for (uint64_t number = 7; number <= 9; ++number) position = Must(ledger.Record(Round(number)));
  }
  SetText(backup);
  const auto refused = Open(position);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kRollback);
  EXPECT_THAT(refused.error().message, HasSubstr("ends at line 7 and does not have line 10"));
  EXPECT_EQ(Text(), backup);
  {
    Ledger ledger = Must(Ledger::OpenWithLost(Around(), kTask, kTerms, Lost(3)));
    EXPECT_NEAR(ledger.spent(), Exact(8), 1e-9);
    position = ledger.position();
  }
  EXPECT_NEAR(Must(Open(position)).spent(), Exact(8), 1e-9);
  // A ledger that went another way since is not the known one, however long it is.
  SetText(backup);
  {
    Ledger other = Must(Open());
    for (uint64_t number = 20; number <= 29; ++number) Must(other.Record(Round(number)));
  }
  EXPECT_EQ(Outcome(Open(position)), "rollback");
  std::filesystem::remove(file_);
  EXPECT_EQ(Outcome(Open(position)), "rollback");
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(LedgerTest, LostRoundsAreChargedWhateverTheBudget) {
  Must(Open());
  const Ledger ledger = Must(Ledger::OpenWithLost(Around(), kTask, kTerms, Lost(100, 1)));
  EXPECT_GT(ledger.spent(), kTerms.epsilon);
  Ledger later = Must(Open(ledger.position()));
  EXPECT_EQ(Outcome(later.Record(Round(1, 1000))), "conflict");
}

TEST_F(LedgerTest, ClocksChangeNothing) {
  LedgerPosition position;
  const int64_t jumps[] = {1'000'000'000'000, 0, -5, 4'000'000'000'000, 1'700'000'000'000};
  for (uint64_t number = 1; number <= 5; ++number) {
    clock_.SetWall({jumps[number - 1]});
    Ledger ledger = Must(Open(position));
    position = Must(ledger.Record(Round(number)));
  }
  EXPECT_NEAR(Must(Open(position)).spent(), Exact(5), 1e-9);
}

TEST_F(LedgerTest, AnotherTasksAndOtherTermsAreRefused) {
  Must(Open());
  PrivacyTerms other = kTerms;
  other.epsilon = 80;
  EXPECT_EQ(Outcome(Ledger::Open(Around(), kTask, other, {})), "conflict");
  EXPECT_EQ(Outcome(Ledger::Open(Around(), Must(TaskId::Parse("letters")), kTerms, {})), "conflict");
  for (const PrivacyTerms& wrong : {PrivacyTerms{.epsilon = 0, .delta = 1e-6}, PrivacyTerms{.epsilon = 1, .delta = 0},
                                    PrivacyTerms{.epsilon = std::nan(""), .delta = 1e-6},
                                    PrivacyTerms{.epsilon = 1, .delta = 1e-6, .participations = 0}}) {
    EXPECT_EQ(Outcome(Ledger::Open(Around(), kTask, wrong, {})), "invalid-argument");
  }
  Ledger ledger = Must(Open());
  Charge charge = Round(1);
  for (const double wrong : {0.0, -1.0, 0.01, std::nan(""), HUGE_VAL}) {
    charge.multiplier = wrong;
    EXPECT_EQ(Outcome(ledger.Record(charge)), "invalid-argument") << wrong;
  }
}

TEST_F(LedgerTest, EveryAlteredByteIsFound) {
  {
    Ledger ledger = Must(Open());
    for (uint64_t number = 1; number <= 3; ++number) Must(ledger.Record(Round(number)));
  }
  const std::string whole = Text();
  for (size_t at = 0; at + 1 < whole.size(); ++at) {
    std::string altered = whole;
    altered[at] ^= 1;
    SetText(altered);
    EXPECT_FALSE(Open()) << at;
    ASSERT_EQ(Text(), altered);  // evidence stays as it is
  }
}

TEST_F(LedgerTest, ALineThatAPowerCutTookIsCutOffAndSaidToBe) {
  LedgerPosition position;
  {
    Ledger ledger = Must(Open());
    for (uint64_t number = 1; number <= 3; ++number) position = Must(ledger.Record(Round(number)));
  }
  const std::string whole = Text();
  for (const std::string& torn :
       {std::string("5 17672"), std::string(500, '\0'), "5 1" + std::string(60, '\0') + "ab\n"}) {
    SetText(whole + torn);
    Ledger ledger = Must(Open(position));
    EXPECT_NEAR(ledger.spent(), Exact(3), 1e-9);
    EXPECT_THAT(Text(), HasSubstr("repaired " + std::to_string(torn.size()) + " "));
    Must(ledger.Record(Round(4)));
    EXPECT_NEAR(Must(Open(ledger.position())).spent(), Exact(4), 1e-9);
  }
  // When the line that is torn now was known to be whole, it was spent.
  SetText(whole.substr(0, whole.size() - 30));
  EXPECT_EQ(Outcome(Open(position)), "rollback");
  EXPECT_EQ(Text(), whole.substr(0, whole.size() - 30));
}

// The power fails after every operation: what was recorded is spent, and the round goes on with the noise it had.
TEST_F(LedgerTest, APowerCutAtAnyPointLosesNothingThatWasRecorded) {
  PowerDisk disk(folder_.path());
  std::vector<std::pair<uint64_t, LedgerPosition>> recorded;  // when it was answered
  {
    Ledger ledger = Must(Ledger::Open({disk, file_, clock_}, kTask, kTerms, {}));
    for (uint64_t number = 1; number <= 4; ++number) {
      const LedgerPosition position = Must(ledger.Record(Round(number)));
      recorded.emplace_back(disk.operations(), position);
    }
  }
  for (uint64_t point = 0; point <= disk.operations(); ++point) {
    for (uint64_t seed = 0; seed < 8; ++seed) {
      TemporaryFolder cut;
      disk.PowerCut(point, seed, cut.path());
      uint64_t answered = 0;
      LedgerPosition known;
      for (const auto& [when, position] : recorded) {
        if (when > point) break;
        ++answered;
        known = position;
      }
      PowerDisk after(cut.path());
      const Ledger::Surroundings around{after, cut / "privacy.ledger", clock_};
      Ledger ledger = Must(Ledger::Open(around, kTask, kTerms, known));
      ASSERT_GE(ledger.charges().size(), answered);
      EXPECT_NEAR(ledger.spent(), Exact(static_cast<double>(ledger.charges().size())), 1e-9);
      for (uint64_t number = 1; number <= 4; ++number) Must(ledger.Record(Round(number)));
      EXPECT_NEAR(Must(Ledger::Open(around, kTask, kTerms, ledger.position())).spent(), Exact(4), 1e-9);
    }
  }
}

// The disk fails at every operation in turn: what was answered is there, and it goes on after.
TEST_F(LedgerTest, AFailingDiskLosesNothingThatWasRecorded) {
  for (const DiskFault fault : {DiskFault::kFull, DiskFault::kIo, DiskFault::kReadOnly}) {
    for (uint64_t good = 0; good < 12; ++good) {
      TemporaryFolder folder;
      PowerDisk disk(folder.path());
      Ledger ledger = Must(Ledger::Open({disk, folder / "privacy.ledger", clock_}, kTask, kTerms, {}));
      disk.FailAfter(good, fault, 3);
      uint64_t answered = 0;
      for (uint64_t number = 1; number <= 8; ++number) answered += ledger.Record(Round(number)) ? 1 : 0;
      disk.Free();
      const LedgerPosition last = Must(ledger.Record(Round(9)));
      EXPECT_EQ(ledger.charges().size(), answered + 1);
      TemporaryFolder cut;
      disk.PowerCut(disk.operations(), 0, cut.path());  // only what is durable
      const Ledger later = Must(Ledger::Open({RealFileSystem(), cut / "privacy.ledger", clock_}, kTask, kTerms, last));
      EXPECT_EQ(later.charges().size(), answered + 1);
    }
  }
}

}  // namespace
}  // namespace tributary::ledger_test

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aggregator/privacy/gaussian_curve.h"
#include "tests/aggregator/round/private_fixture.h"

// The ledger never says less than was spent, and no noise is used twice, whatever part of the data folder was restored
// from a backup. The truth of each story is the number of versions that were published in all.
namespace tributary::private_restored_test {
namespace {

using testing::HasSubstr;

constexpr double kDelta = 1e-6;
double SpentBy(double versions) { return GaussianEpsilon(1 / std::sqrt(versions), kDelta); }

// A budget of many versions: backup after version 3, then versions 4 and 5.
struct PrivateRestoredTest : testing::Test, PrivateFixture {
  PrivateRestoredTest() {
    CreatePrivate({.epsilon = 30, .noise = 1});
    Must(core().rounds().Start(task_id, 100));
    GiveAll(ModelVersion{1});
    GiveAll(ModelVersion{2});
    Must(Give(Update(1, ModelVersion{3})));
    Must(core().Flush());
    Close();
    std::filesystem::copy(folder.path(), backup_.path(), std::filesystem::copy_options::recursive);
    Reopen();
    GiveAll(ModelVersion{3}, 2, 3);
    GiveAll(ModelVersion{4});
    held_ = core().publication().bytes();
    EXPECT_EQ(Latest(), ModelVersion{5});
    EXPECT_NEAR(Standing().spent, SpentBy(4), 1e-3);
    Close();
  }
  // Of these names, or of all when there are none; after it the core is open.
  void PutBack(const std::vector<std::string>& names = {}) {
    const auto options = std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing;
    if (names.empty()) {
      std::filesystem::remove_all(folder.path());
      std::filesystem::copy(backup_.path(), folder.path(), options);
    }
    for (const std::string& name : names) {
      std::filesystem::remove_all(folder / name);
      if (std::filesystem::exists(backup_ / name)) std::filesystem::copy(backup_ / name, folder / name, options);
    }
    random = SeededRandom(77);  // a process that starts again does not repeat what was random
    Reopen();
    Pass(Millis(100));
  }

  TemporaryFolder backup_;
  Bytes held_;
};

TEST_F(PrivateRestoredTest, WhatMembersKnowIsChargedOnceToEverybody) {
  PutBack();
  EXPECT_NEAR(Standing().spent, SpentBy(2), 1e-3) << "nobody has told it yet";
  core().HearOfPublication(held_, TestDevice("d1"));
  EXPECT_EQ(Standing().lost, 2u);
  EXPECT_NEAR(Standing().spent, SpentBy(4), 1e-3);
  Reopen();
  Pass(Millis(100));
  core().HearOfPublication(held_, TestDevice("d1"));
  EXPECT_NEAR(Standing().spent, SpentBy(4), 1e-3);
  // The sum that was open is given up with its noise, and the next one has another.
  const ModelVersion again = Latest();
  EXPECT_EQ(again, ModelVersion{6});
  GiveAll(again);
  EXPECT_NEAR(Standing().spent, SpentBy(5), 1e-3);
  const Ledger ledger = OpenLedger();
  EXPECT_EQ(ledger.Find(Charge::Kind::kRound, 3), nullptr) << "its noise was used before";
}

TEST_F(PrivateRestoredTest, AnOlderLedgerIsChargedForTheLinesThatItLacks) {
  PutBack({"privacy"});
  EXPECT_GE(Standing().spent, SpentBy(4) - 1e-3);
  EXPECT_EQ(Standing().lost, 2u);
  const double spent = Standing().spent;
  Reopen();
  Pass(Millis(100));
  EXPECT_EQ(Standing().spent, spent) << "once";
}

TEST_F(PrivateRestoredTest, AnOlderDatabaseIsChargedForTheDrawsThatItForgot) {
  // As an operator might do it: the database and what belongs to it, but not the ledger.
  for (const std::string name : {"digits-3.noise", "digits-4.noise", "digits-5.noise"})
    std::filesystem::remove(FileOf(name));
  PutBack({"aggregator.db", "aggregator.db-wal", "aggregator.db-shm", "checkpoints", "publication.bin"});
  const double spent = Standing().spent;
  EXPECT_GE(spent, SpentBy(6) - 1e-3) << "the lines, and whoever was in sums 3 and 4";
  // The ledger says that a version was made of the sum that is open here with one update: it must not be seen again.
  EXPECT_EQ(LastRound().base, ModelVersion{4}) << "the weights of version 3 again";
  EXPECT_THAT(Must(core().rounds().Get(task_id, 3)).shortfall, HasSubstr("nothing may be seen twice under one noise"));
  Reopen();
  Pass(Millis(100));
  EXPECT_EQ(Standing().spent, spent) << "once";
  GiveAll(Latest());
  const Ledger ledger = OpenLedger();
  const auto charges = ledger.charges();
  EXPECT_GT(charges.back().number, 4u);
  EXPECT_GT(Standing().spent, spent);
}

TEST_F(PrivateRestoredTest, ADamagedLedgerStopsTheTaskAndNothingElse) {
  Bytes ledger = Must(ReadFile(RealFileSystem(), FileOf("digits.ledger"), limits::kMiB));
  ledger[ledger.size() / 2] ^= 1;
  Must(WriteFileAtomically(RealFileSystem(), FileOf("digits.ledger"), ledger));
  Reopen();
  GiveAll(ModelVersion{5});  // the round that was open
  EXPECT_EQ(LastRound().state, RoundState::kFailed);
  EXPECT_THAT(LastRound().shortfall, HasSubstr("digits.ledger"));
  EXPECT_EQ(Latest(), ModelVersion{5});
  EXPECT_TRUE(core().Health());
  EXPECT_EQ(core().rounds().Start(task_id, 1).error().code, Code::kConflict);
  EXPECT_THAT(Standing().stopped, HasSubstr("digits.ledger"));
  CreateTask({}, "other");
  EXPECT_TRUE(core().rounds().Start(TestTask("other"), 1));
}

}  // namespace
}  // namespace tributary::private_restored_test

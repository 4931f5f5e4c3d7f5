#include "aggregator/release/pruner.h"

#include <gtest/gtest.h>

#include "protocol/base/sql/database.h"
#include "tests/aggregator/release/prune_fixture.h"
#include "tests/aggregator/store/former_schema.h"

namespace tributary::pruner_test {
namespace {

constexpr auto kDay = std::chrono::hours(24);

class PrunerTest : public testing::Test, protected PruneFixture {
 protected:
  PrunerTest() { Reopen(); }

  uint64_t Rows(const std::string& table) {
    const auto database = Must(Database::OpenReadOnly(folder / "aggregator.db"));
    return Must(database->QueryNumber("SELECT count(*) FROM " + table));
  }
  uint64_t Prune(uint64_t keep) {
    uint64_t versions = 0;
    for (std::optional<ModelVersion> after = ModelVersion{}; after;) {
      const Pruned some = Must(core().tasks().Prune(task_id, keep, *after));
      versions += some.versions;
      after = some.last;
    }
    return versions;
  }
};

TEST_F(PrunerTest, WeightsOfOldVersionsGoAndTheirLinesStay) {
  MakeVersions(14);
  PruneAll();
  EXPECT_EQ(Kept(), "5 6 7 8 9 10 11 12 13 14 ");
  CheckBlobs();
  const auto all = All();
  EXPECT_EQ(all.size(), 14u);
  EXPECT_FALSE(all[1].metrics.global.empty());
  EXPECT_EQ(core().tasks().WhyAbsent(all[1].weights.digest).error().code, Code::kPruned);
  EXPECT_EQ(core().tasks().WhyAbsent(Digest{}).error().code, Code::kUnknownBlob);
  EXPECT_EQ(core().rounds().RollBack(task_id, ModelVersion{2}, "x").error().code, Code::kPruned);
  EXPECT_EQ(core().tasks().Pin(task_id, ModelVersion{2}, "x").error().code, Code::kPruned);
  MakeVersions(15);
  PruneAll();
  EXPECT_EQ(Kept(), "6 7 8 9 10 11 12 13 14 15 ");
  Reopen();
  EXPECT_EQ(Kept(), "6 7 8 9 10 11 12 13 14 15 ");
  CheckBlobs();
}

TEST_F(PrunerTest, WhatIsPinnedStaysUntilItIsUnpinned) {
  MakeVersions(13);
  EXPECT_EQ(Must(core().tasks().Pin(task_id, ModelVersion{2}, "shipped")).pinned, "shipped");
  Must(core().tasks().Pin(task_id, ModelVersion{13}, "good"));
  Reopen();
  PruneAll();
  EXPECT_EQ(Kept(), "2 4 5 6 7 8 9 10 11 12 13 ");
  CheckBlobs();
  EXPECT_EQ(core().tasks().Pin(task_id, ModelVersion{14}, "x").error().code, Code::kUnknownVersion);
  Must(core().tasks().Pin(task_id, ModelVersion{2}, ""));
  PruneAll();
  EXPECT_EQ(Kept(), "4 5 6 7 8 9 10 11 12 13 ");
  CheckBlobs();
}

TEST_F(PrunerTest, WhatARollbackBroughtBackStaysAsLongAsTheVersionThatHasIt) {
  MakeVersions(4);
  Must(core().rounds().RollBack(task_id, ModelVersion{2}, "it was better"));
  MakeVersions(15);
  PruneAll();
  EXPECT_EQ(Kept(), "6 7 8 9 10 11 12 13 14 15 ") << "the rollback is long past";
  CheckBlobs();
  Must(core().rounds().RollBack(task_id, ModelVersion{7}, "again"));
  MakeVersions(20);
  PruneAll();
  EXPECT_EQ(Kept(), "7 11 12 13 14 15 16 17 18 19 20 ");
  CheckBlobs();
}

TEST_F(PrunerTest, ABlobThatAnotherTaskNamesStays) {
  MakeVersions(12);
  const TaskId first = task_id;
  CreateTask({.report_goal = 1}, "other");  // begins with the same weights and module
  task_id = first;
  PruneAll();
  EXPECT_EQ(Kept(), "3 4 5 6 7 8 9 10 11 12 ");
  EXPECT_TRUE(core().tasks().blobs().Has(All()[0].weights.digest));
  EXPECT_FALSE(core().tasks().blobs().Has(All()[1].weights.digest));
}

TEST_F(PrunerTest, TheBaseOfARoundAndOfASumThatWaitsStays) {
  CreateTask({.report_goal = 3, .minimum = 3, .deadline_seconds = 60});
  ASSERT_TRUE(core().rounds().Start(task_id, 1));
  ASSERT_TRUE(Give(Update(1, ModelVersion{1})));
  Pass(Millis(61'000));
  ASSERT_EQ(LastRound().state, RoundState::kFailed);
  EXPECT_EQ(core().rounds().Bases(task_id), std::set<ModelVersion>{ModelVersion{1}}) << "its sum is shelved";
  ASSERT_TRUE(core().rounds().Start(task_id, 1));
  EXPECT_EQ(core().rounds().Bases(task_id), std::set<ModelVersion>{ModelVersion{1}});
}

TEST_F(PrunerTest, AnOperatorPrunesAtOnceButNeverTheNewestEight) {
  MakeVersions(kItemsOfTurn + 20);
  EXPECT_EQ(Prune(kItemsOfTurn + 15), 5u);
  EXPECT_EQ(Prune(9), kItemsOfTurn + 6) << "in more than one turn";
  EXPECT_EQ(Prune(1), 1u) << "eight stay";
  EXPECT_EQ(Prune(1), 0u);
  PruneAll();
  CheckBlobs();
}

TEST_F(PrunerTest, ATurnIsBounded) {
  MakeVersions(kItemsOfTurn + 40);
  files.changes = 0;
  int64_t most = 0;
  for (int turn = 0; turn < 100; ++turn) {
    const int64_t before = files.changes;
    Pass(Millis(100));
    most = std::max(most, files.changes - before);
  }
  EXPECT_LE(most, 4 + 1) << "four files and the sync of their folder";
  EXPECT_EQ(All().size(), kItemsOfTurn + 40);
  CheckBlobs();
}

TEST_F(PrunerTest, OldEvaluationsBecomeTheirTotals) {
  MakeVersions(12);
  const MetricViews before = All()[1].metrics;
  const uint64_t of_new_ones = 2 * 8 - 1;
  PruneAll();
  const uint64_t rows = Rows("evaluations");
  Pass(31 * kDay);
  PruneAll();
  EXPECT_LT(Rows("evaluations"), rows);
  EXPECT_EQ(Rows("evaluations"), of_new_ones) << "the newest eight versions may still be measured";
  EXPECT_EQ(All()[1].metrics, before);
  EXPECT_EQ(CodeOf(Give(Evaluation("e1", ModelVersion{2}, {Classified(EvaluatedModel::kGlobal, 10, 1, 0, 5)}),
                        Role::kEvaluator)),
            Code::kStaleVersion)
      << "it was counted, and nobody could tell any more";
  Reopen();
  EXPECT_EQ(CodeOf(Admit(Evaluation("e2", ModelVersion{4}, {Classified(EvaluatedModel::kGlobal, 10, 1, 0, 5)}).header)),
            Code::kStaleVersion);
  EXPECT_TRUE(
      Give(Evaluation("e2", ModelVersion{5}, {Classified(EvaluatedModel::kGlobal, 10, 1, 0, 5)}), Role::kEvaluator));
}

TEST_F(PrunerTest, RoundsAndVersionsWithoutWeightsAreForgottenAfterYears) {
  MakeVersions(130);
  PruneAll();
  EXPECT_EQ(Rows("rounds"), 129u);
  const uint64_t totals = Rows("metric_totals");
  Pass(800 * kDay);
  PruneAll();
  EXPECT_EQ(Rows("rounds"), 100u) << "the newest stay whatever their age";
  EXPECT_EQ(All().size(), kKept);
  EXPECT_EQ(core().rounds().Get(task_id, 3).error().code, Code::kPruned);
  EXPECT_EQ(core().rounds().Get(task_id, 130).error().code, Code::kNotFound);
  EXPECT_EQ(core().tasks().Version(task_id, ModelVersion{3}).error().code, Code::kPruned);
  EXPECT_EQ(core().tasks().Version(task_id, ModelVersion{131}).error().code, Code::kUnknownVersion);
  EXPECT_EQ(core().rounds().RollBack(task_id, ModelVersion{3}, "x").error().code, Code::kPruned);
  EXPECT_LT(Rows("metric_totals"), totals / 10);
  MakeVersions(131);
  Reopen();
  EXPECT_EQ(LastRound().number, 130u);
}

TEST_F(PrunerTest, APartOfABlobThatNobodyGoesOnWithIsRemoved) {
  MakeVersions(2);
  PruneAll();
  BlobStore& blobs = core().tasks().mutable_blobs();
  const Digest left{{1}}, growing{{2}};
  ASSERT_TRUE(blobs.AppendPart(left, 0, Bytes(10, 1)));
  ASSERT_TRUE(blobs.AppendPart(growing, 0, Bytes(10, 1)));
  Pass(25 * std::chrono::hours(1));
  PruneAll();
  EXPECT_EQ(blobs.PartSize(left), 10u) << "it may have come this minute";
  ASSERT_TRUE(blobs.AppendPart(growing, 10, Bytes(10, 1)));
  Pass(25 * std::chrono::hours(1));
  PruneAll();
  EXPECT_EQ(blobs.PartSize(left), 0u);
  EXPECT_EQ(blobs.PartSize(growing), 20u);
}

TEST_F(PrunerTest, ADatabaseOfBeforeIsPrunedAsIfItHadAlwaysBeen) {
  MakeVersions(14);
  // There were no optimisers that keep something.
  for (const VersionRecord& version : All()) {
    if (version.optimizer_state) Must(core().tasks().mutable_blobs().Remove(std::vector{version.optimizer_state->digest}));
  }
  Close();
  {
    const auto database = Must(Database::Open(folder / "aggregator.db"));
    for (const std::string& step : StepsBackTo(8)) ASSERT_TRUE(database->Execute(step)) << step;
  }
  Reopen();
  EXPECT_EQ(All().size(), 14u);
  PruneAll();
  EXPECT_EQ(Kept(), "5 6 7 8 9 10 11 12 13 14 ");
  CheckBlobs();
}

}  // namespace
}  // namespace tributary::pruner_test

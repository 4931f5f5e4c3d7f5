#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/base/sql/database.h"
#include "tests/device/examples/collection_fixture.h"
#include "tests/support/temporary_folder.h"

namespace tributary::long_import_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::vector<std::string> kLabel = {"y"};

// A Write whose every Put is a batch, and another process's store.
class LongImportTest : public testing::Test {
 protected:
  LongImportTest() {
    Must(store->Create(Readings(), kCollectionStart));
    Must(store->Add("readings", {{Reading(0, 0, 1, "old")}}, kCollectionStart));
  }
  ExampleWriter Write() { return Must(store->Write("readings", kCollectionStart, 1)); }
  std::vector<int64_t> Labels(WallTime now = kCollectionStart) {
    return ValuesOf<int64_t>(Must(other->Load("readings", kLabel, now)), "y");
  }

  TemporaryFolder folder;
  std::unique_ptr<CollectionStore> store = Must(CollectionStore::Open(folder.path()));
  std::unique_ptr<CollectionStore> other = Must(CollectionStore::Open(folder.path()));
};

TEST_F(LongImportTest, OthersWriteMeanwhileAndSeeItWholeOrNotAtAll) {
  Must(other->Create(Readings("others"), kCollectionStart));
  auto writer = Write();
  for (int64_t label = 2; label <= 4; ++label) {
    Must(writer.Put(Reading(0, 0, label)));
    EXPECT_THAT(Labels(), ElementsAre(1));
    EXPECT_EQ(Must(other->Find("readings")).examples, 1u);
    EXPECT_EQ(Must(other->Summarise("readings")).training + Must(other->Summarise("readings")).held_out, 1u);
    Must(other->Add("others", {{Reading(0, 0, label)}}, kCollectionStart));
    EXPECT_EQ(Must(other->Clear("others")), 1u);
    EXPECT_EQ(Must(other->Sweep(kCollectionStart)), 0u);
  }
  Must(writer.Commit());
  EXPECT_THAT(Labels(), ElementsAre(1, 2, 3, 4));
  const CollectionInfo info = Must(other->Find("readings"));
  EXPECT_EQ(info.examples, 4u);
  EXPECT_EQ(Must(other->Summarise("readings")).info.bytes, info.bytes);
}

// An example that is added while it is under way is seen at once, and stands behind it.
TEST_F(LongImportTest, OthersAddToItsCollection) {
  auto writer = Write();
  Must(writer.Put(Reading(0, 0, 2)));
  Must(other->Add("readings", {{Reading(0, 0, 9)}}, kCollectionStart));
  EXPECT_THAT(Labels(), ElementsAre(1, 9));
  Must(writer.Put(Reading(0, 0, 3)));
  Must(writer.Commit());
  EXPECT_THAT(Labels(), ElementsAre(1, 2, 3, 9));
  Must(other->Add("readings", {{Reading(0, 0, 10)}}, kCollectionStart));
  EXPECT_THAT(Labels(), ElementsAre(1, 2, 3, 9, 10));
}

TEST_F(LongImportTest, ADeletionInItsCollectionEndsItAndLeavesNoByteOfIt) {
  for (const bool all : {false, true}) {
    auto writer = Write();
    NewExample secret = Reading(0, 0, 2, "secret-of-ann", "ann");
    Must(writer.Put(secret));
    // Nobody has seen the example, and it is deleted all the same.
    EXPECT_EQ(Must(all ? other->Clear("readings") : other->RemoveGroup("readings", "ann")), all ? 1u : 0u);
    const Status put = writer.Put(Reading(0, 0, 3));
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().code, Code::kConflict);
    EXPECT_THAT(put.error().message, HasSubstr("import again"));
    EXPECT_FALSE(writer.Commit());
    EXPECT_THAT(FilesWith(folder.path(), "secret-of-ann"), IsEmpty());
    if (!all) {
      EXPECT_THAT(Labels(), ElementsAre(1));
    }
  }
  EXPECT_THAT(Labels(), IsEmpty());
}

TEST_F(LongImportTest, WhatAnEndedProcessLeftBehindGoesWithTheNextSweepOrWrite) {
  for (const bool sweeps : {true, false}) {
    {
      auto writer = Write();
      Must(writer.Put(Reading(0, 0, 2, "left")));
    }
    EXPECT_THAT(Labels(), ElementsAre(1));
    if (sweeps) {
      EXPECT_EQ(Must(other->Sweep(kCollectionStart)), 0u);
    }
    Must(other->Add("readings", {{Reading(0, 0, 3, "left")}}, kCollectionStart));
    EXPECT_THAT(Labels(), ElementsAre(1, 3));
    EXPECT_EQ(Must(other->Remove("readings", "left")), 1u);
  }
}

TEST_F(LongImportTest, ATextThatOnlyARefusedFileHadIsForgotten) {
  {
    auto refused = Write();
    EXPECT_EQ(Must(refused.CodeOf("y", "sun")), 0);
    Must(refused.Put(Reading(0, 0, 0)));  // ends a batch
    EXPECT_EQ(Must(refused.CodeOf("y", "rain")), 1);
    EXPECT_EQ(Must(refused.CodeOf("y", "sun")), 0);
    Must(refused.Put(Reading(0, 0, 1)));
  }
  auto writer = Write();
  EXPECT_EQ(Must(writer.CodeOf("y", "fog")), 0);
  Must(writer.Put(Reading(0, 0, 0)));
  EXPECT_EQ(Must(writer.CodeOf("y", "hail")), 1);
  Must(writer.Commit());
  EXPECT_THAT(FilesWith(folder.path(), "rain"), IsEmpty());
  EXPECT_EQ(Must(Write().CodeOf("y", "hail")), 1);
}

TEST_F(LongImportTest, TwoThatNumberTextsAtOnceDoNotMixThem) {
  auto writer = Write();
  EXPECT_EQ(Must(writer.CodeOf("y", "sun")), 0);
  Must(writer.Put(Reading(0, 0, 0)));
  {
    auto quick = Must(other->Write("readings", kCollectionStart));
    EXPECT_EQ(Must(quick.CodeOf("y", "rain")), 0);
    Must(quick.Put(Reading(0, 0, 0)));
    Must(quick.Commit());
  }
  const Status committed = writer.Commit();
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().code, Code::kConflict);
  EXPECT_THAT(committed.error().message, HasSubstr("import again"));
}

TEST_F(LongImportTest, OneAtATime) {
  auto writer = Write();
  Must(writer.Put(Reading(0, 0, 2)));
  {
    auto second = Must(other->Write("readings", kCollectionStart, 1));
    const Status put = second.Put(Reading(0, 0, 3));
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().code, Code::kLocked);
    EXPECT_THAT(put.error().message, HasSubstr("another import is under way"));
    EXPECT_FALSE(second.Put(Reading(0, 0, 4)));
    EXPECT_FALSE(second.Commit());
  }
  Must(writer.Commit());
  EXPECT_THAT(Labels(), ElementsAre(1, 2));
}

TEST_F(LongImportTest, RetentionTakesWhatIsWholeOnly) {
  Must(store->Create(Readings("readings", {.max_age_seconds = 60, .max_count = 2}), kCollectionStart));
  auto writer = Write();
  for (int64_t label = 2; label <= 4; ++label) Must(writer.Put(Reading(0, 0, label)));
  const WallTime later = kCollectionStart + std::chrono::seconds(100);
  EXPECT_EQ(Must(other->Sweep(later)), 1u);
  EXPECT_THAT(Labels(), IsEmpty());
  Must(writer.Commit());
  EXPECT_THAT(Labels(), ElementsAre(3, 4));
  EXPECT_EQ(Must(other->Find("readings")).examples, 2u);
}

TEST_F(LongImportTest, AStoreOfBeforeOpens) {
  store.reset();
  other.reset();
  {
    const auto database = Must(Database::Open(folder / "examples.db"));
    Must(database->Write("DROP TABLE imports"));
    Must(database->Query("PRAGMA user_version=1"));
  }
  store = Must(CollectionStore::Open(folder.path()));
  other = Must(CollectionStore::Open(folder.path()));
  auto writer = Write();
  Must(writer.Put(Reading(0, 0, 2)));
  Must(writer.Commit());
  EXPECT_THAT(Labels(), ElementsAre(1, 2));
}

}  // namespace
}  // namespace tributary::long_import_test

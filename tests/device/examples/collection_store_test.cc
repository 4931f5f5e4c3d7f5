#include "device/examples/collection_store.h"

#include <algorithm>
#include <deque>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/device/examples/collection_fixture.h"
#include "tests/support/outcome.h"
#include "tests/support/power_disk.h"
#include "tests/support/seeded_random.h"
#include "tests/support/temporary_folder.h"

namespace tributary::collection_store_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::vector<std::string> kBoth = {"x", "y"};

class CollectionStoreTest : public testing::Test {
 protected:
  std::vector<int64_t> Labels(std::string_view collection = "readings", WallTime now = kCollectionStart) {
    return ValuesOf<int64_t>(Must(store->Load(collection, kBoth, now)), "y");
  }

  TemporaryFolder folder;
  std::unique_ptr<CollectionStore> store = Must(CollectionStore::Open(folder.path()));
};

TEST_F(CollectionStoreTest, GivesBackWhatWasAddedInItsOrderAlsoAfterARestart) {
  Must(store->Create(Readings(), kCollectionStart));
  const std::vector<NewExample> batch = {Reading(1, 2, 7, "a"), Reading(3, 4, 8)};
  Must(store->Add("readings", batch, kCollectionStart));
  Must(store->Add("readings", {{Reading(5, 6, 9, "b", "user-1")}}, kCollectionStart));
  store.reset();
  store = Must(CollectionStore::Open(folder.path()));
  const TaskExamples examples = Must(store->Load("readings", kBoth, kCollectionStart));
  EXPECT_THAT(ValuesOf<float>(examples, "x"), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(ValuesOf<int64_t>(examples, "y"), ElementsAre(7, 8, 9));
  EXPECT_EQ(examples.training.size() + examples.held_out.size(), 3u);
  EXPECT_TRUE(CheckExampleSet(*examples.training.set));
  const std::vector<std::string> only_y = {"y"};
  EXPECT_EQ(Must(store->Load("readings", only_y, kCollectionStart)).training.set->columns.size(), 1u);
  EXPECT_EQ(Must(store->Find("readings")).bytes, 48u);
}

TEST_F(CollectionStoreTest, ABatchIsTakenWholeOrNotAtAll) {
  Must(store->Create(Readings(), kCollectionStart));
  const std::vector<NewExample> twice = {Reading(1, 2, 7, "a"), Reading(3, 4, 8, "a")};
  EXPECT_EQ(Outcome(store->Add("readings", twice, kCollectionStart)), "already-exists");
  NewExample cut = Reading(1, 2, 3);
  cut.values.pop_back();
  EXPECT_EQ(Outcome(store->Add("readings", {{Reading(1, 2, 3, "b"), cut}}, kCollectionStart)), "bad-example");
  EXPECT_EQ(Outcome(store->Add("readings", {{Reading(1, 2, 3, "#1")}}, kCollectionStart)), "invalid-argument");
  EXPECT_THAT(Labels(), IsEmpty());
  EXPECT_EQ(Must(store->Find("readings")).examples, 0u);
}

TEST_F(CollectionStoreTest, TheSchemaIsFixedAndAnotherOneIsShown) {
  Must(store->Create(Readings(), kCollectionStart));
  Must(store->Create(Readings("readings", {.max_count = 5}), kCollectionStart));
  EXPECT_EQ(Must(store->Find("readings")).settings.retention.max_count, 5u);
  CollectionSettings other = Readings();
  other.fields[0].shape = {3};
  const auto refused = store->Create(other, kCollectionStart);
  ASSERT_EQ(Outcome(refused), "conflict");
  EXPECT_THAT(refused.error().message, HasSubstr("x:FP32[2] y:INT64"));
  EXPECT_THAT(refused.error().message, HasSubstr("x:FP32[3] y:INT64"));
  EXPECT_EQ(Outcome(store->Create(Readings("readings", {}, 0.5), kCollectionStart)), "conflict");
  EXPECT_EQ(Outcome(store->Create(Readings("Upper"), kCollectionStart)), "invalid-argument");
  other.fields = {{"x", DType::kFp32, {}}, {"x", DType::kFp32, {}}};
  other.name = "twice";
  EXPECT_EQ(Outcome(store->Create(other, kCollectionStart)), "invalid-argument");
  EXPECT_EQ(Outcome(store->Add("nothing", {}, kCollectionStart)), "not-found");
}

TEST_F(CollectionStoreTest, AnExampleNeverChangesTheShare) {
  Must(store->Create(Readings(), kCollectionStart));
  std::vector<NewExample> batch;
  for (int i = 0; i < 2'000; ++i) batch.push_back(Reading(0, 0, i, fmt::format("id-{}", i)));
  Must(store->Add("readings", batch, kCollectionStart));
  const auto held_out = [&](const TaskExamples& examples) {
    const auto labels = ValuesOf<int64_t>(examples, "y");
    std::set<int64_t> these;
    for (const uint32_t index : examples.held_out.indices) these.insert(labels[index]);
    return these;
  };
  const auto first = held_out(Must(store->Load("readings", kBoth, kCollectionStart)));
  EXPECT_GT(first.size(), 400u);
  EXPECT_LT(first.size(), 600u) << "a quarter of 2,000";
  // Another device with the same ids, added the other way round and without some.
  const TemporaryFolder elsewhere;
  const auto other = Must(CollectionStore::Open(elsewhere.path()));
  Must(other->Create(Readings(), kCollectionStart));
  std::ranges::reverse(batch);
  batch.resize(1'500);
  Must(other->Add("readings", batch, kCollectionStart));
  const auto second = held_out(Must(other->Load("readings", kBoth, kCollectionStart)));
  EXPECT_TRUE(std::ranges::includes(first, second));
  EXPECT_EQ(second.size(),
            static_cast<size_t>(std::ranges::count_if(first, [](int64_t label) { return label >= 500; })));
}

TEST_F(CollectionStoreTest, FieldsThatVaryKeepTheirLengths) {
  CollectionSettings settings{.name = "texts", .fields = {{"rows", DType::kInt16, {-1, 2}}, {"y", DType::kUint8, {}}}};
  Must(store->Create(settings, kCollectionStart));
  Must(store->Add("texts", {{NewExample{.id = "a", .values = {1, 0, 2, 0, 9}, .lengths = {2}}}}, kCollectionStart));
  Must(store->Add("texts", {{NewExample{.id = "b", .values = {8}, .lengths = {0}}}}, kCollectionStart));
  Must(store->Add("texts", {{NewExample{.id = "c", .values = {3, 0, 4, 0, 5, 0, 6, 0, 7}, .lengths = {4}}}},
                  kCollectionStart));
  EXPECT_EQ(
      Outcome(store->Add("texts", {{NewExample{.id = "d", .values = {3, 0, 7}, .lengths = {1}}}}, kCollectionStart)),
      "bad-example");
  const TaskExamples examples = Must(store->Load("texts", {{"rows"}}, kCollectionStart));
  EXPECT_THAT(ValuesOf<int16_t>(examples, "rows"), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(examples.training.set->columns[0].ends, ElementsAre(2, 2, 6));
  EXPECT_TRUE(CheckExampleSet(*examples.training.set));
  const ExampleColumn& column = examples.training.set->columns[0];
  EXPECT_EQ(column.values.capacity(), column.values.size()) << "one copy";
}

TEST_F(CollectionStoreTest, RetentionTakesTheOldestByAgeCountAndBytes) {
  Must(store->Create(Readings("readings", {.max_age_seconds = 100}), kCollectionStart));
  Must(store->Add("readings", {{Reading(0, 0, 1)}}, kCollectionStart));
  Must(store->Add("readings", {{Reading(0, 0, 2)}}, kCollectionStart + Millis(60'000)));
  EXPECT_THAT(Labels("readings", kCollectionStart + Millis(101'000)), ElementsAre(2)) << "expired, though not swept";
  EXPECT_EQ(Must(store->Sweep(kCollectionStart + Millis(101'000))), 1u);
  EXPECT_EQ(Must(store->Find("readings")).examples, 1u);
  Must(store->Create(Readings("readings", {.max_count = 2}), kCollectionStart));
  for (int i = 3; i < 9; ++i) Must(store->Add("readings", {{Reading(0, 0, i)}}, kCollectionStart));
  EXPECT_THAT(Labels(), ElementsAre(7, 8));
  Must(store->Create(Readings("readings", {.max_bytes = 50}), kCollectionStart));
  Must(store->Add("readings", {{Reading(0, 0, 9), Reading(0, 0, 10)}}, kCollectionStart));
  EXPECT_THAT(Labels(), ElementsAre(8, 9, 10));
  EXPECT_EQ(Must(store->Find("readings")).bytes, 48u);
  EXPECT_EQ(Must(store->Generation("readings")), 0u) << "retention is no erasure";
}

TEST_F(CollectionStoreTest, DeletionsRaiseTheGenerationForEver) {
  Must(store->Create(Readings(), kCollectionStart));
  Must(store->Add("readings", {{Reading(0, 0, 1, "a", "g"), Reading(0, 0, 2, "b", "g"), Reading(0, 0, 3, "c")}},
                  kCollectionStart));
  EXPECT_EQ(Must(store->Remove("readings", "nobody")), 0u);
  EXPECT_EQ(Must(store->Generation("readings")), 0u);
  EXPECT_EQ(Must(store->Remove("readings", "a")), 1u);
  EXPECT_EQ(Must(store->RemoveGroup("readings", "g")), 1u);
  EXPECT_THAT(Labels(), ElementsAre(3));
  EXPECT_EQ(Must(store->Generation("readings")), 2u);
  EXPECT_EQ(Must(store->Drop("readings")), 1u);
  EXPECT_EQ(Outcome(store->Find("readings")), "not-found");
  Must(store->Create(Readings(), kCollectionStart));
  EXPECT_EQ(Must(store->Generation("readings")), 3u);
  EXPECT_EQ(Must(store->Clear("readings")), 0u);
}

TEST_F(CollectionStoreTest, CategoriesKeepTheirNumbers) {
  Must(store->Create(Readings(), kCollectionStart));
  {
    ExampleWriter writer = Must(store->Write("readings", kCollectionStart));
    EXPECT_EQ(Must(writer.CodeOf("y", "rain")), 0);
    EXPECT_EQ(Must(writer.CodeOf("y", "sun")), 1);
    EXPECT_EQ(Must(writer.CodeOf("y", "rain")), 0);
    Must(writer.Put(Reading(1, 2, 1)));
    Must(writer.Commit());
  }
  {
    ExampleWriter writer = Must(store->Write("readings", kCollectionStart));
    EXPECT_EQ(Must(writer.CodeOf("y", "sun")), 1);
    EXPECT_EQ(Must(writer.CodeOf("y", "snow")), 2);
  }
  ExampleWriter writer = Must(store->Write("readings", kCollectionStart));
  EXPECT_EQ(Must(writer.CodeOf("y", "fog")), 2) << "snow was never committed";
  const CollectionSummary summary = Must(store->Summarise("readings"));
  EXPECT_EQ(summary.fields[1].labels.at(1), 1u);
  EXPECT_EQ(summary.fields[1].names.at(1), "sun");
  EXPECT_EQ(summary.fields[0].most, 2);
}

// Long enough to be in no other bytes, and of three sizes: within a page, over one, and over many.
std::string Mark(uint64_t number, const std::string& what) {
  return fmt::format("{}-{}-", what, ToHex(SeededRandom(number).TakeBytes(8)));
}

NewExample Marked(uint64_t number, size_t repeat) {
  std::string values;
  for (size_t i = 0; i < repeat; ++i) values += Mark(number, "values");
  return {.id = Mark(number, "id"),
          .group = Mark(number % 50, "group"),
          .values = ToBytes(AsBytes(values)),
          .lengths = {static_cast<uint32_t>(values.size())}};
}

// Rows of many sizes are added and removed in any order, which makes SQLite split and merge its pages. After each
// removal the removed bytes are in no file.
TEST_F(CollectionStoreTest, DeletedBytesAreInNoFile) {
  Must(store->Create({.name = "marked", .fields = {{"v", DType::kUint8, {-1}}}}, kCollectionStart));
  const auto reader = Must(Database::OpenReadOnly(folder / "examples.db"));  // keeps the log from going at the end
  SeededRandom random(5);
  std::vector<uint64_t> live;
  uint64_t next = 0;
  for (int step = 0; step < 12; ++step) {
    std::vector<NewExample> batch;
    for (int i = 0; i < 60; ++i) {
      constexpr size_t kRepeats[] = {1, 20, 90, 900};
      batch.push_back(Marked(next, kRepeats[random.Below(4)]));
      live.push_back(next++);
    }
    Must(store->Add("marked", batch, kCollectionStart));
    for (int i = 0; i < 3; ++i) {
      const size_t at = random.Below(live.size());
      const uint64_t gone = live[at];
      live.erase(live.begin() + static_cast<ptrdiff_t>(at));
      ASSERT_FALSE(FilesWith(folder.path(), Mark(gone, "values")).empty()) << "the search finds nothing";
      ASSERT_EQ(Must(store->Remove("marked", Mark(gone, "id"))), 1u);
      EXPECT_THAT(FilesWith(folder.path(), Mark(gone, "values")), IsEmpty());
      EXPECT_THAT(FilesWith(folder.path(), Mark(gone, "id")), IsEmpty());
    }
  }
  const uint64_t group = live[3] % 50;
  EXPECT_GT(Must(store->RemoveGroup("marked", Mark(group, "group"))), 1u);
  EXPECT_THAT(FilesWith(folder.path(), Mark(group, "group")), IsEmpty());
  Must(store->Clear("marked"));
  for (const char* what : {"id-", "values-", "group-"}) EXPECT_THAT(FilesWith(folder.path(), what), IsEmpty()) << what;
}

// While somebody reads, the log cannot be emptied; the deletion says so, and the next sweep does it.
TEST_F(CollectionStoreTest, AReaderThatHoldsTheLogIsSaid) {
  Must(store->Create({.name = "marked", .fields = {{"v", DType::kUint8, {-1}}}}, kCollectionStart));
  Must(store->Add("marked", {{Marked(1, 5), Marked(2, 5)}}, kCollectionStart));
  const auto reader = Must(Database::Open(folder / "examples.db"));
  Must(reader->Write("BEGIN"));
  Must(reader->Query("SELECT * FROM collections"));
  Must(reader->Query("PRAGMA busy_timeout=0"));
  const auto removed = store->Remove("marked", Mark(1, "id"));
  ASSERT_EQ(Outcome(removed), "busy");
  EXPECT_THAT(removed.error().message, HasSubstr("are deleted"));
  EXPECT_EQ(Must(store->Find("marked")).examples, 1u);
  Must(reader->Write("COMMIT"));
  Must(store->Sweep(kCollectionStart));
  EXPECT_THAT(FilesWith(folder.path(), Mark(1, "values")), IsEmpty());
}

struct Model {
  struct Kept {
    std::string id;
    std::string group;
    int64_t label;
    int64_t added;
  };
  std::deque<Kept> all;
};

// Any order of adding, removing and retention leaves what a plain list would hold.
RC_GTEST_PROP(CollectionStoreProperty, EqualsAPlainList, ()) {
  const TemporaryFolder folder;
  const PowerDisk disk(folder.path());  // it syncs nothing really
  auto store = Must(CollectionStore::Open(folder.path()));
  const Retention retention{.max_age_seconds = *rc::gen::element<uint64_t>(0, 20),
                            .max_count = *rc::gen::element<uint64_t>(0, 5),
                            .max_bytes = *rc::gen::element<uint64_t>(0, 16 * 7)};
  Must(store->Create(Readings("readings", retention), kCollectionStart));
  Model model;
  WallTime now = kCollectionStart;
  const auto retain = [&] {
    std::erase_if(model.all, [&](const Model::Kept& kept) {
      return retention.max_age_seconds > 0 &&
             kept.added < now.unix_millis - static_cast<int64_t>(retention.max_age_seconds) * 1000;
    });
    while (retention.max_count > 0 && model.all.size() > retention.max_count) model.all.pop_front();
    while (retention.max_bytes > 0 && model.all.size() * 16 > retention.max_bytes) model.all.pop_front();
  };
  const int steps = *rc::gen::inRange(1, 25);
  for (int step = 0; step < steps; ++step) {
    now = now + Millis(*rc::gen::inRange(0, 6'000));
    const auto id = fmt::format("i{}", *rc::gen::inRange(0, 12));
    const auto group = fmt::format("g{}", *rc::gen::inRange(0, 3));
    if (*rc::gen::arbitrary<bool>()) Must(store->Sweep(now));
    retain();
    const auto with_id = [&](const Model::Kept& kept) { return kept.id == id; };
    switch (*rc::gen::inRange(0, 6)) {
      case 0:
      case 1:
      case 2: {
        const bool there = std::ranges::any_of(model.all, with_id);
        const Status added = store->Add("readings", {{Reading(0, 0, step, id, group)}}, now);
        RC_ASSERT(added.has_value() != there);
        if (there) break;
        model.all.push_back({id, group, step, now.unix_millis});
        retain();
        break;
      }
      case 3:
        Must(store->Sweep(now));
        RC_ASSERT(Must(store->Remove("readings", id)) == std::erase_if(model.all, with_id));
        break;
      case 4:
        Must(store->Sweep(now));
        RC_ASSERT(Must(store->RemoveGroup("readings", group)) ==
                  std::erase_if(model.all, [&](const Model::Kept& kept) { return kept.group == group; }));
        break;
      default:
        Must(store->Sweep(now));
        retain();
        if (*rc::gen::arbitrary<bool>()) {
          store.reset();
          store = Must(CollectionStore::Open(folder.path()));
        }
    }
    retain();
    std::vector<int64_t> expected;
    for (const Model::Kept& kept : model.all) expected.push_back(kept.label);
    RC_ASSERT(ValuesOf<int64_t>(Must(store->Load("readings", kBoth, now)), "y") == expected);
  }
  // Retention in the model runs at each step; in the store by age at loading, else at adding and sweeping.
  Must(store->Sweep(now));
  RC_ASSERT(Must(store->Find("readings")).examples == model.all.size());
}

}  // namespace
}  // namespace tributary::collection_store_test

#include "device/learn/collection_examples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/device/examples/collection_fixture.h"
#include "tests/support/manual_clock.h"
#include "tests/support/outcome.h"
#include "tests/support/temporary_folder.h"

namespace tributary::collection_examples_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TaskManifest ManifestFor(const std::string& collection, const std::string& field = "x") {
  TaskManifest manifest;
  manifest.collection = collection;
  manifest.inputs.push_back({.name = "input",
                             .dtype = DType::kFp32,
                             .shape = {-1, 2},
                             .role = TaskInput::Role::kFeature,
                             .field = field,
                             .scaling = {},
                             .categories = {}});
  return manifest;
}

class CollectionExamplesTest : public testing::Test {
 protected:
  CollectionExamples Source(bool evaluates_all = false, CollectionExamples::Fallback fallback = {}) {
    return CollectionExamples(clock, {folder.path(), evaluates_all, std::move(fallback)});
  }
  // A collection with three examples, none of them held out.
  void Fill(const std::string& name) {
    const auto store = Must(CollectionStore::Open(folder.path()));
    Must(store->Create(Readings(name, {.max_age_seconds = 100}, 0), clock.Now()));
    Must(store->Add(name, {{Reading(1, 2, 3, "a"), Reading(4, 5, 6), Reading(7, 8, 9)}}, clock.Now()));
  }

  TemporaryFolder folder;
  ManualClock clock{kCollectionStart};
};

TEST_F(CollectionExamplesTest, LoadsTheFieldsThatATaskNames) {
  CollectionExamples source = Source();
  const auto missing = source.Load(ManifestFor("readings"));
  ASSERT_EQ(Outcome(missing), "missing-field");
  EXPECT_THAT(missing.error().message,
              HasSubstr("no collection 'readings'; fill it with `tributary-device data import"));
  Fill("readings");
  const TaskExamples examples = Must(source.Load(ManifestFor("readings")));
  EXPECT_THAT(ValuesOf<float>(examples, "x"), ElementsAre(1, 2, 4, 5, 7, 8));
  EXPECT_EQ(examples.training.set->columns.size(), 1u);
  EXPECT_EQ(examples.training.size(), 3u);
  const auto field = source.Load(ManifestFor("readings", "z"));
  ASSERT_EQ(Outcome(field), "missing-field");
  EXPECT_THAT(field.error().message, HasSubstr("the collection readings has: x:FP32[2] y:INT64"));
  TaskManifest many = ManifestFor("readings");
  many.min_examples = 4;
  const auto few = source.Load(many);
  ASSERT_EQ(Outcome(few), "few-examples");
  EXPECT_THAT(few.error().message, HasSubstr("3 examples"));
  EXPECT_EQ(Must(Source(true).Load(ManifestFor("readings"))).held_out.size(), 3u) << "an evaluator's";
  clock.Advance(Millis(101'000));
  EXPECT_EQ(Outcome(source.Load(ManifestFor("readings"))), "few-examples") << "all have expired";
  Must(source.Sweep());
  EXPECT_EQ(Must(Must(CollectionStore::Open(folder.path()))->Find("readings")).examples, 0u);
}

// Two devices whose first label is another one number the texts otherwise.
TEST_F(CollectionExamplesTest, AnImportedTextHasTheNumberThatTheTaskGivesItOnEveryDevice) {
  const auto store = Must(CollectionStore::Open(folder.path()));
  const auto fill = [&](const std::string& name, const std::vector<std::string>& labels) {
    Must(store->Create(Readings(name, {}, 0), clock.Now()));
    ExampleWriter writer = Must(store->Write(name, clock.Now()));
    for (const std::string& label : labels) Must(writer.Put(Reading(1, 2, Must(writer.CodeOf("y", label)))));
    Must(writer.Commit());
  };
  fill("here", {"dog", "cat", "dog", "2"});
  fill("there", {"cat", "bird"});
  fill("elsewhere", {"cat", "fish"});
  fill("digits", {"7", "0"});
  const auto labels = [&](const std::string& name, std::vector<std::string> classes,
                          std::vector<std::string> categories = {}) {
    TaskManifest manifest = ManifestFor(name);
    manifest.inputs.push_back(
        {.name = "label",
         .shape = {-1},
         .role = categories.empty() ? TaskInput::Role::kTarget : TaskInput::Role::kFeature,
         .field = "y",
         .scaling = {},
         .categories = std::move(categories)});
    manifest.classes = std::move(classes);
    return Source().Load(manifest);
  };
  const std::vector<std::string> classes = {"bird", "cat", "dog"};
  EXPECT_THAT(ValuesOf<int64_t>(Must(labels("here", classes)), "y"), ElementsAre(2, 1, 2, 2));
  EXPECT_THAT(ValuesOf<int64_t>(Must(labels("there", classes)), "y"), ElementsAre(1, 0));
  EXPECT_THAT(ValuesOf<int64_t>(Must(labels("there", {}, classes)), "y"), ElementsAre(1, 0)) << "a feature";
  EXPECT_THAT(ValuesOf<int64_t>(Must(labels("digits", {})), "y"), ElementsAre(7, 0)) << "a text that is a number";
  const auto refused = labels("elsewhere", classes);
  ASSERT_EQ(Outcome(refused), "bad-example");
  EXPECT_THAT(refused.error().message, HasSubstr("a text in the field y that the task does not list, the device's number 1"));
  EXPECT_THAT(refused.error().message, HasSubstr("the task takes bird, cat, dog."));
  EXPECT_EQ(refused.error().message.find("fish"), std::string::npos) << "it travels to the operator";
  const auto unlisted = labels("there", {});
  ASSERT_EQ(Outcome(unlisted), "bad-example");
  EXPECT_THAT(unlisted.error().message, HasSubstr("the task does not say which numbers they are"));
}

TEST_F(CollectionExamplesTest, TheConfiguredFolderIsTheCollectionExamplesUntilThereIsOne) {
  std::weak_ptr<ExampleSet> made;
  CollectionExamples source = Source(false, [&]() -> Result<TaskExamples> {
    auto set = std::make_shared<ExampleSet>();
    set->columns.push_back({{"x", DType::kFp32, {2}}, Bytes(8)});
    set->count = 1;
    made = set;
    return TaskExamples{Examples::All(set), {set, {}}};
  });
  EXPECT_EQ(Must(source.Load(ManifestFor("examples"))).training.size(), 1u);
  EXPECT_TRUE(made.expired()) << "a device that waits holds no examples";
  EXPECT_EQ(Must(source.Load(ManifestFor("examples"))).training.size(), 1u);
  EXPECT_EQ(Outcome(source.Load(ManifestFor("other"))), "missing-field");
  Fill("examples");
  EXPECT_EQ(Must(source.Load(ManifestFor("examples"))).training.size(), 3u);
  EXPECT_EQ(Must(source.Generation(ManifestFor("examples"))), 0u);
  Must(Must(CollectionStore::Open(folder.path()))->Remove("examples", "a"));
  EXPECT_EQ(Must(source.Generation(ManifestFor("examples"))), 1u);
  CollectionExamples broken = CollectionExamples(
      clock,
      {folder / "nowhere", false, [] { return Result<TaskExamples>(Fail(Code::kMissingData, "no folder /x")); }});
  const auto failed = broken.Load(ManifestFor("examples"));
  ASSERT_EQ(Outcome(failed), "missing-field");
  EXPECT_THAT(failed.error().message, HasSubstr("no folder /x"));
}

}  // namespace
}  // namespace tributary::collection_examples_test

#include "device/agent/personal_store.h"

#include <functional>

#include <gtest/gtest.h>

#include "tests/support/must.h"
#include "tests/support/power_disk.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary::personal_store_test {
namespace {

PersonalModel ModelOn(uint64_t version, const char* task = "digits") {
  PersonalModel model;
  model.task = TestTask(task);
  model.base = ModelVersion{version};
  model.tensors = {{"head", {300}, true, true, std::vector<float>(300, static_cast<float>(version))}};
  return model;
}
uint64_t VersionOf(const PersonalStore& store, const char* task = "digits") {
  const auto model = Must(store.Load(TestTask(task)));
  if (!model) return 0;
  EXPECT_EQ(*model, ModelOn(Number(model->base), task));
  return Number(model->base);
}

TEST(PersonalStoreTest, WhatIsPreparedComesIntoForceWithItsVersion) {
  const TemporaryFolder folder;
  const PersonalStore store(RealFileSystem(), folder / "personal");
  const TaskId task = TestTask("digits");
  EXPECT_EQ(VersionOf(store), 0u);
  EXPECT_TRUE(Must(store.Bases()).empty());
  Must(store.Prepare(ModelOn(1)));
  EXPECT_EQ(VersionOf(store), 0u);
  Must(store.Adopt(task, ModelVersion{1}));
  EXPECT_EQ(VersionOf(store), 1u);
  Must(store.Adopt(task, ModelVersion{1}));
  EXPECT_EQ(VersionOf(store), 1u) << "again";
  Must(store.Prepare(ModelOn(2)));
  Must(store.Adopt(task, ModelVersion{3}));
  EXPECT_EQ(VersionOf(store), 1u) << "nothing was prepared for version 3";
  Must(store.Adopt(task, ModelVersion{2}));
  EXPECT_EQ(VersionOf(store), 1u) << "what was prepared for version 2 went with that";
  Must(store.Replace(ModelOn(4)));
  EXPECT_EQ(VersionOf(store), 4u);
  EXPECT_EQ(Must(store.Bases()), (std::map<TaskId, ModelVersion>{{task, ModelVersion{4}}}));
}

TEST(PersonalStoreTest, TasksWhoseNamesBeginAlikeAreApart) {
  const TemporaryFolder folder;
  const PersonalStore store(RealFileSystem(), folder / "personal");
  for (const char* task : {"digits", "digits.7", "digits.7.8"}) Must(store.Replace(ModelOn(9, task)));
  Must(store.Prepare(ModelOn(10, "digits.7")));
  Must(store.Erase(TestTask("digits")));
  EXPECT_EQ(VersionOf(store), 0u);
  EXPECT_EQ(VersionOf(store, "digits.7"), 9u);
  EXPECT_EQ(VersionOf(store, "digits.7.8"), 9u);
  Must(store.Adopt(TestTask("digits.7"), ModelVersion{10}));
  EXPECT_EQ(VersionOf(store, "digits.7"), 10u);
}

// Of a device that has joined another fleet, say, with the folder that it had.
TEST(PersonalStoreTest, AModelOnALaterVersionGivesWayToTheOneThatIsMade) {
  const TemporaryFolder folder;
  const PersonalStore store(RealFileSystem(), folder / "personal");
  Must(store.Replace(ModelOn(9)));
  Must(store.Prepare(ModelOn(2)));
  EXPECT_EQ(VersionOf(store), 9u);
  Must(store.Adopt(TestTask("digits"), ModelVersion{2}));
  EXPECT_EQ(VersionOf(store), 2u);
  Must(store.Replace(ModelOn(9)));
  Must(store.Replace(ModelOn(3)));
  EXPECT_EQ(VersionOf(store), 3u);
}

TEST(PersonalStoreTest, ADamagedFileIsSetAside) {
  const TemporaryFolder folder;
  const PersonalStore store(RealFileSystem(), folder / "personal");
  Must(store.Replace(ModelOn(1)));
  const Path file = folder / "personal" / "digits.1.model";
  const Bytes whole = Must(ReadFile(RealFileSystem(), file, 1 << 20));
  for (const size_t at : {size_t{0}, whole.size() / 2, whole.size() - 1}) {
    Bytes damaged = whole;
    damaged[at] ^= 0x20;
    Must(WriteFileAtomically(RealFileSystem(), file, damaged));
    EXPECT_EQ(store.Read(TestTask("digits"), ModelVersion{1}).error().code, Code::kCorrupt);
    EXPECT_EQ(VersionOf(store), 0u);
    EXPECT_TRUE(std::filesystem::exists(file.string() + ".damaged"));
  }
  Must(store.Erase(TestTask("digits")));
  EXPECT_TRUE(std::filesystem::is_empty(folder / "personal"));
}

// The change of the files, the version that is in force before, and the step by which a restart goes on.
struct Step {
  std::function<void(const PersonalStore&)> run;
  uint64_t before, after;
  ModelVersion handed_over;
};

TEST(PersonalStoreTest, APowerCutAfterAnyOperationLeavesOneWholeModel) {
  const TaskId task = TestTask("digits");
  const std::vector<Step> steps = {
      {[](const PersonalStore& store) { Must(store.Prepare(ModelOn(1))); }, 0, 0, ModelVersion{0}},
      {[&](const PersonalStore& store) { Must(store.Adopt(task, ModelVersion{1})); }, 1, 1, ModelVersion{1}},
      {[](const PersonalStore& store) { Must(store.Prepare(ModelOn(2))); }, 1, 1, ModelVersion{1}},
      {[&](const PersonalStore& store) { Must(store.Adopt(task, ModelVersion{2})); }, 2, 2, ModelVersion{2}},
      {[](const PersonalStore& store) { Must(store.Replace(ModelOn(3))); }, 2, 3, ModelVersion{2}},
  };
  const TemporaryFolder folder;
  PowerDisk disk(folder.path());
  const PersonalStore store(disk, folder / "personal");
  uint64_t cuts = 0;
  for (const Step& step : steps) {
    const uint64_t begin = disk.operations();
    step.run(store);
    for (uint64_t point = begin; point <= disk.operations(); ++point) {
      for (uint64_t seed = 0; seed < 6; ++seed) {
        SCOPED_TRACE(fmt::format("step {}, point {}, seed {}", &step - steps.data(), point, seed));
        const TemporaryFolder cut;
        disk.PowerCut(point, seed, cut.path());
        const PersonalStore after(RealFileSystem(), cut / "personal");
        Must(after.Adopt(task, step.handed_over));
        const uint64_t version = VersionOf(after);
        EXPECT_TRUE(version == step.before || version == step.after) << version;
        ++cuts;
      }
    }
    EXPECT_EQ(VersionOf(store), step.after);
  }
  EXPECT_GT(cuts, 60u);
}

}  // namespace
}  // namespace tributary::personal_store_test

#include <gtest/gtest.h>

#include "tests/aggregator/round/round_fixture.h"

namespace tributary::round_publication_test {
namespace {

class PublicationTest : public testing::Test, protected RoundFixture {
 protected:
  Publication Current() {
    auto opened = OpenPublication(core().publication().bytes(), fleet.anchor(), clock.Now());
    TRIBUTARY_CHECK(opened) << opened.error().ToString();
    return *opened;
  }
};

TEST_F(PublicationTest, SaysWhatDevicesNeedToKnow) {
  EXPECT_TRUE(Current().tasks.empty()) << "there is one from the start";
  CreateTask({.report_goal = 1, .inclusion = 0.5});
  EXPECT_FALSE(Current().tasks.at(0).round) << "nothing to train yet";
  const RoundRecord round = *core().rounds().Start(task_id, 1);
  const Publication publication = Current();
  const PublishedTask& task = publication.tasks.at(0);
  EXPECT_EQ(task.latest, ModelVersion{1});
  EXPECT_EQ(task.accepted, std::vector{ModelVersion{1}});
  ASSERT_TRUE(task.round);
  EXPECT_EQ(task.round->nonce, round.nonce);
  EXPECT_EQ(task.round->inclusion, 0.5);
  EXPECT_EQ(task.round->deadline, round.deadline);
  EXPECT_EQ(publication.sealing_key, fleet.sealing_key().public_key);
  ASSERT_TRUE(Give(Update(1, ModelVersion{1})));
  EXPECT_EQ(Current().tasks.at(0).latest, ModelVersion{2});
  EXPECT_EQ(Current().tasks.at(0).weights.digest, LatestDigest());
  EXPECT_FALSE(Current().tasks.at(0).round);
}

TEST_F(PublicationTest, CarriesTheTasksManifest) {
  CreateTask({.report_goal = 1});
  EXPECT_EQ(Current().tasks.at(0).manifest, ManifestOfImages());
  TaskRecord task = NewTask({.report_goal = 1}, "weather");
  task.manifest.collection = "weather";
  task.manifest.metrics = {{"mae", MetricDirection::kSmaller}};
  ASSERT_TRUE(core().tasks().Create(task, PutInitialWeights()));
  EXPECT_EQ(Current().tasks.at(1).manifest, task.manifest);
  Reopen();
  ASSERT_TRUE(core().rounds().Start(task.id, 1));
  EXPECT_EQ(Current().tasks.at(1).manifest, task.manifest);
}

TEST_F(PublicationTest, NumbersGrowByOneOverRestarts) {
  CreateTask({.report_goal = 1});
  ASSERT_TRUE(core().rounds().Start(task_id, 2));
  const uint64_t before = core().publication().number();
  const Bytes bytes = core().publication().bytes();
  Reopen();
  EXPECT_EQ(core().publication().number(), before) << "nothing changed";
  EXPECT_EQ(core().publication().bytes(), bytes);
  ASSERT_TRUE(Give(Update(1, ModelVersion{1})));
  EXPECT_EQ(core().publication().number(), before + 1);
  for (size_t i = 1; i < listener.publications.size(); ++i) {
    EXPECT_EQ(listener.publications[i], listener.publications[i - 1] + 1);
  }
  Close();
  ASSERT_TRUE(RealFileSystem().Remove(folder / "publication.bin"));
  Reopen();
  EXPECT_EQ(core().publication().number(), before + 2) << "the lost one may have been seen";
}

TEST_F(PublicationTest, IsRenewedBeforeItExpires) {
  CreateTask({.report_goal = 1});
  const uint64_t before = core().publication().number();
  Pass(std::chrono::hours(24 * 19));
  EXPECT_EQ(core().publication().number(), before);
  Pass(std::chrono::hours(24));
  EXPECT_EQ(core().publication().number(), before + 1);
  Pass(Millis(100));
  EXPECT_EQ(core().publication().number(), before + 1);
}

TEST_F(PublicationTest, IsIssuedLaterWhenTheDiskIsFull) {
  CreateTask({.report_goal = 1});
  const uint64_t before = core().publication().number();
  files.calls_left = 0;
  ASSERT_TRUE(core().rounds().Start(task_id, 1));
  EXPECT_EQ(core().publication().number(), before) << "nothing is handed out that is not on disk";
  files.calls_left = -1;
  Pass(Millis(2000));
  EXPECT_EQ(core().publication().number(), before + 1);
  EXPECT_TRUE(Current().tasks.at(0).round);
}

}  // namespace
}  // namespace tributary::round_publication_test

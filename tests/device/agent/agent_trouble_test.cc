#include <cmath>
#include <limits>
#include <set>

#include <gtest/gtest.h>

#include "tests/device/agent/agent_fixture.h"
#include "tests/support/flipped_byte.h"

namespace tributary::agent_trouble_test {
namespace {

constexpr size_t kWeightBytes = 100'000;  // an update of many chunks

// The real disk, of which payload files do not get a byte while it is `full`.
class FullableFiles final : public FileSystem {
 public:
  Result<std::unique_ptr<WritableFile>> OpenForWrite(const Path& path) override {
    if (full && path.parent_path().filename() == "payloads") {
      ++refused;
      return Fail(Code::kDiskFull, "open " + path.string() + ": No space left on device");
    }
    return RealFileSystem().OpenForWrite(path);
  }
  Result<Bytes> ReadAt(const Path& path, uint64_t offset, size_t size) override {
    return RealFileSystem().ReadAt(path, offset, size);
  }
  Result<uint64_t> Size(const Path& path) override { return RealFileSystem().Size(path); }
  Status Rename(const Path& from, const Path& to) override { return RealFileSystem().Rename(from, to); }
  Status Remove(const Path& path) override { return RealFileSystem().Remove(path); }
  Status SyncFolder(const Path& folder) override { return RealFileSystem().SyncFolder(folder); }
  Status CreateFolders(const Path& folder) override { return RealFileSystem().CreateFolders(folder); }
  Result<std::vector<std::string>> List(const Path& folder) override { return RealFileSystem().List(folder); }
  Result<DiskSpace> Space(const Path& folder) override { return RealFileSystem().Space(folder); }

  bool full = false;
  int refused = 0;
};

bool DeliveredBoth(AgentFixture& device) {
  return device.RunUntilWithTime([&] { return device.Delivered(UploadKind::kUpdate, 1) == 1 && device.quiet(); });
}

TEST(AgentTroubleTest, WhatWasFittedIsKeptWhileTheDiskIsFull) {
  AgentFixture device;
  FullableFiles files;
  device.files = &files;
  files.full = true;
  device.Publish(1, 1, true, kWeightBytes);
  device.Start();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return files.refused >= 3; })) << "asked again and again";
  EXPECT_EQ(device.learner.fits, 1) << "and not fitted again";
  EXPECT_EQ(device.Delivered(UploadKind::kUpdate, 1), 0u);
  files.full = false;
  ASSERT_TRUE(DeliveredBoth(device));
  EXPECT_EQ(device.learner.fits, 1);
  EXPECT_EQ(device.Delivered(UploadKind::kEvaluation, 1), 1u);
  EXPECT_TRUE(device.agent->account().Balances());
}

TEST(AgentTroubleTest, AKillWhileTheDiskIsFullFitsAgainAndCountsOnce) {
  AgentFixture device;
  FullableFiles files;
  device.files = &files;
  files.full = true;
  device.Publish(1, 1, true, kWeightBytes);
  device.Start();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return files.refused >= 1; }));
  device.Kill();
  files.full = false;
  device.Start();
  ASSERT_TRUE(DeliveredBoth(device));
  EXPECT_EQ(device.learner.fits, 2);
  EXPECT_EQ(device.Delivered(UploadKind::kEvaluation, 1), 1u);
}

TEST(AgentTroubleTest, AVersionThatCameMeanwhileEndsTheWait) {
  AgentFixture device;
  FullableFiles files;
  device.files = &files;
  files.full = true;
  device.Publish(1, 1, true, kWeightBytes);
  device.Start();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return files.refused >= 1; }));
  device.Publish(2, 2, true, kWeightBytes);
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.learner.fits == 2; }));
  files.full = false;
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.Delivered(UploadKind::kUpdate, 2) == 1 && device.quiet(); }));
  EXPECT_EQ(device.Delivered(UploadKind::kUpdate, 1), 0u);
}

TEST(AgentTroubleTest, StepsOfTheWallClockHarmNothing) {
  AgentFixture device;
  device.world.clock.Advance(std::chrono::hours(48));  // away from where the certificates begin
  device.Publish(1, 1, true, kWeightBytes);
  device.Start();
  int steps = 0;
  const auto delivered = [&] {
    // Hours forward and back again while everything is under way.
    if (++steps % 10 == 0) {
      const auto by = steps % 20 == 0 ? std::chrono::hours(11) : -std::chrono::hours(11);
      device.world.clock.SetWall(device.world.clock.Now() + by);
    }
    return device.Delivered(UploadKind::kUpdate, 1) == 1 && device.quiet();
  };
  ASSERT_TRUE(device.RunUntilWithTime(delivered));
  EXPECT_GT(steps, 60) << "the clock stepped while it worked";
  EXPECT_EQ(device.learner.fits, 1);
  EXPECT_EQ(device.Delivered(UploadKind::kEvaluation, 1), 1u);
  EXPECT_EQ(device.agent->account().of(UploadKind::kUpdate).delivered, 1u);
  EXPECT_EQ(device.agent->account().of(UploadKind::kUpdate).Dropped(), 0u);
}

TEST(AgentTroubleTest, HalfSentToOneGatewayItGoesOnThroughAnotherAsTheSameUpload) {
  AgentFixture device;
  TestServer other(device.world, Role::kGateway, "gateway-2");
  device.Publish(1, 1, true, kWeightBytes);
  device.Start();
  const auto partly = [&] {
    for (const auto& [id, stored] : device.server.sink.partial) {
      if (stored.chunks.size() > 3) return true;
    }
    return false;
  };
  ASSERT_TRUE(device.RunUntil(partly));
  const UploadId half = device.server.sink.partial.begin()->first;
  device.Kill();
  device.gateway = &other;  // restarted with another address
  device.Start();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return other.sink.complete.contains(half) && device.quiet(); }));
  EXPECT_EQ(device.learner.fits, 1);
  // Either gateway may pass it up: one id for the contribution.
  std::set<UploadId> updates;
  for (const TestServer* server : {&device.server, &other}) {
    for (const auto& [id, stored] : server->sink.complete) {
      if (stored.header.subject.kind == UploadKind::kUpdate) updates.insert(id);
    }
  }
  EXPECT_EQ(updates, std::set<UploadId>{half});
}

TEST(AgentTroubleTest, ALearnerThatFailsIsTriedThreeTimesForAVersionOverRestarts) {
  AgentFixture device;
  device.learner.failure = Error{Code::kLearnerCrashed, "the learner was ended by SIGSEGV"};
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.agent->counts().fits_failed == 1; }));
  device.Kill();
  device.Start();  // a kill between two tries costs the second: nobody knows what it came of
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.learner.fits >= 2; }));
  EXPECT_FALSE(device.RunUntilWithTime([&] { return device.learner.fits > 3; }, 3'000));
  EXPECT_TRUE(device.StateText().ends_with("digits given_up 1 1\n")) << device.StateText();
  EXPECT_EQ(device.learner.fits, 2) << "and one was cut off";
  device.Kill();
  device.Start();
  device.Publish(2, 1);  // another round on the version
  EXPECT_FALSE(device.RunUntilWithTime([&] { return device.learner.fits > 2; }, 2'000));
  const TaskFailure& failure = device.agent->failures().at(TestTask("digits"));
  EXPECT_EQ(failure.code, Code::kLearnerCrashed);
  EXPECT_EQ(failure.sentence, "the learner was ended by SIGSEGV");
  EXPECT_EQ(failure.tries, 3u);
  EXPECT_EQ(failure.version, ModelVersion{1});

  device.learner.failure.reset();
  device.Publish(3, 2);
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.Delivered(UploadKind::kUpdate, 2) == 1 && device.quiet(); }));
}

TEST(AgentTroubleTest, AfterAStartTheNetworkComesBeforeTheWork) {
  AgentFixture device;
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return !device.work.idle(); }));
  device.Kill();
  while (!device.work.idle()) device.work.RunOne();
  device.learner.fits = 0;
  // A newer version waits above: it is the only one that is worked on.
  device.Publish(2, 2);
  device.Start();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.learner.fits == 1; }));
  EXPECT_NE(device.StateText().find("digits working 2 2"), std::string::npos) << device.StateText();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.Delivered(UploadKind::kUpdate, 2) == 1 && device.quiet(); }));
  EXPECT_EQ(device.learner.fits, 1);

  // With nobody there it begins all the same, but only after some seconds.
  device.Publish(3, 3);
  ASSERT_TRUE(device.RunUntilWithTime([&] { return !device.work.idle(); }));
  device.Kill();
  while (!device.work.idle()) device.work.RunOne();
  device.server.Stop();
  const Millis start = device.world.clock.Monotonic();
  device.Start();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return !device.work.idle(); }));
  EXPECT_GE(device.world.clock.Monotonic() - start, Millis(10'000));
}

// The aggregator would refuse it, and nobody here would hear of that for days.
TEST(AgentTroubleTest, WhatIsBeyondTheBoundsIsNotSealedAndSaysSo) {
  for (const Role role : {Role::kDevice, Role::kEvaluator}) {
    AgentFixture device(role);
    device.learner.loss = 1e20;
    device.Publish(1, 1);
    device.Start();
    ASSERT_TRUE(device.RunUntilWithTime([&] { return !device.agent->failures().empty() && device.quiet(); }));
    const TaskFailure& failure = device.agent->failures().at(TestTask("digits"));
    EXPECT_EQ(failure.code, Code::kNormExceeded);
    EXPECT_NE(failure.sentence.find("the metric loss"), std::string::npos) << failure.sentence;
    EXPECT_NE(device.StateText().find("digits given_up 1"), std::string::npos) << device.StateText();
    EXPECT_EQ(device.agent->account().of(UploadKind::kEvaluation).offered, 0u);
  }
}

TEST(AgentTroubleTest, AnUpdateBeyondTheBoundsIsGivenUpAndTheNextVersionIsNot) {
  AgentFixture device;
  device.Start();
  uint64_t number = 0;
  for (const float scale : {1e4f, std::numeric_limits<float>::quiet_NaN()}) {
    device.learner.scale = scale;
    ++number;
    device.Publish(number, number);
    const auto failed = [&] {
      const auto found = device.agent->failures().find(TestTask("digits"));
      return found != device.agent->failures().end() && found->second.version == ModelVersion{number};
    };
    ASSERT_TRUE(device.RunUntilWithTime([&] { return failed() && device.quiet(); }));
    EXPECT_EQ(device.agent->failures().at(TestTask("digits")).code,
              std::isnan(scale) ? Code::kNotFinite : Code::kNormExceeded);
  }
  EXPECT_EQ(device.agent->account().of(UploadKind::kUpdate).offered, 0u);
  EXPECT_EQ(device.learner.fits, 2) << "what fails so fails again";
  device.learner.scale = 1;
  device.Publish(3, 3);
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.Delivered(UploadKind::kUpdate, 3) == 1 && device.quiet(); }));
  EXPECT_TRUE(device.agent->failures().empty());
}

// A model that harms the device's own process does so three times at most.
TEST(AgentTroubleTest, AFitInWhichTheProcessDiesIsGivenUpAfterThree) {
  AgentFixture device;
  device.Publish(1, 1);
  for (int life = 1; life <= 5; ++life) {
    device.Start();
    device.learner.during = [&] { device.learner.failure = Error{Code::kShuttingDown, "the machine stops here"}; };
    const bool began = device.RunUntilWithTime(
        [&] { return device.StateText().find("working 1 1") != std::string::npos && !device.work.idle(); }, 1'000);
    EXPECT_EQ(began, life <= 3) << life;
    while (!device.work.idle()) device.work.RunOne();
    device.Kill();
  }
  EXPECT_EQ(device.learner.fits, 3);
}

// Lets the device live until a fit runs, and ends it there; false: no fit began.
bool EndInAFit(AgentFixture& device) {
  device.Start();
  const bool began = device.RunUntilWithTime(
      [&] { return !device.work.idle() && device.StateText().find("working") != std::string::npos; });
  device.Kill();
  device.work.RunAll();  // it finds that it is over
  return began;
}

TEST(AgentTroubleTest, TheEndOfTheDeviceIsNotTheFaultOfALearnerApart) {
  AgentFixture device;
  device.learner.apart = true;
  device.Publish(1, 1);
  for (uint64_t life = 1; life <= kCutOffsAtOnce; ++life) ASSERT_TRUE(EndInAFit(device)) << life;
  // It rests after that, and says why; a life that begins no work counts for nothing.
  ASSERT_TRUE(EndInAFit(device));
  for (int life = 0; life < 3; ++life) {
    device.Start();
    EXPECT_EQ(device.agent->failures().at(TestTask("digits")).count, kCutOffsAtOnce + 1);
    device.Kill();
  }
  device.Start();
  const TaskFailure& failure = device.agent->failures().at(TestTask("digits"));
  EXPECT_EQ(failure.code, Code::kShuttingDown);
  EXPECT_EQ(failure.tries, 0u);
  ASSERT_TRUE(DeliveredBoth(device));
  EXPECT_TRUE(device.agent->failures().empty());
}

TEST(AgentTroubleTest, WorkThatIsCutOffAgainAndAgainRestsLongerEachTime) {
  AgentFixture device;
  device.learner.apart = true;
  device.Publish(1, 1);
  std::vector<std::string> said;
  device.on_event = [&](const DeviceEvent& event) {
    if (event.code == Code::kShuttingDown) said.push_back(event.text);
  };
  std::vector<int64_t> waited;
  for (uint64_t life = 1; life <= kCutOffsAtOnce + 3; ++life) {
    const Millis start = device.world.clock.Monotonic();
    ASSERT_TRUE(EndInAFit(device));
    waited.push_back((device.world.clock.Monotonic() - start).count() / 1000);
  }
  EXPECT_EQ(said.size(), 2u);
  EXPECT_NE(said.back().find("after a rest of 20 s"), std::string::npos) << said.back();
  for (uint64_t life = 0; life <= kCutOffsAtOnce; ++life) EXPECT_LT(waited[life], 10) << life;
  EXPECT_GE(waited[kCutOffsAtOnce + 1], 10);
  EXPECT_GE(waited[kCutOffsAtOnce + 2], 20);
}

TEST(AgentTroubleTest, AStopInGoodOrderIsNoFailure) {
  AgentFixture device;
  device.Publish(1, 1);
  for (int life = 0; life < 5; ++life) {
    device.Start();
    ASSERT_TRUE(device.RunUntilWithTime([&] { return !device.work.idle(); }));
    device.agent->Stop();
    EXPECT_TRUE(device.agent->failures().empty());
    device.Kill();
    while (!device.work.idle()) device.work.RunOne();
  }
  device.Start();
  ASSERT_TRUE(DeliveredBoth(device));
}

TEST(AgentTroubleTest, MetricsAreWrittenEveryFifteenSecondsAndAtTheEnd) {
  AgentFixture device;
  device.metrics_file = device.world.folder / "device.prom";
  const auto text = [&] {
    const auto bytes = ReadFile(RealFileSystem(), device.metrics_file, limits::kConfigBytes);
    return bytes ? std::string(AsText(*bytes)) : "";
  };
  const std::string delivered = "tributary_device_uploads{device=\"device-1\",kind=\"update\",state=\"delivered\"} 1\n";
  device.Publish(1, 1);
  device.Start();
  EXPECT_NE(text().find("tributary_device_connected{device=\"device-1\"} 0"), std::string::npos);
  ASSERT_TRUE(DeliveredBoth(device));
  EXPECT_TRUE(device.RunUntilWithTime([&] { return text().find(delivered) != std::string::npos; })) << text();
  EXPECT_NE(text().find("tributary_device_connected{device=\"device-1\"} 1"), std::string::npos);
  EXPECT_NE(text().find("tributary_device_sessions_total{device=\"device-1\"} 1"), std::string::npos);
  std::filesystem::remove(device.metrics_file);
  device.agent->Stop();
  EXPECT_NE(text().find(delivered), std::string::npos);
}

TEST(AgentTroubleTest, AModelThatTheDiskHasChangedIsFetchedAgainBeforeItIsTrainedOn) {
  AgentFixture device;
  device.reports = true;
  device.Publish(1, 1, /*with_round=*/false, kWeightBytes);
  device.Start();
  const Digest weights =
      PublicationOf(device.world, MakePublication(device.world, device.server.blobs, 9, ModelVersion{1}, kWeightBytes))
          .tasks[0]
          .weights.digest;
  const Path file = device.folder / "blobs" / weights.hex();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.agent->client().up() && RealFileSystem().Size(file); }));
  ASSERT_TRUE(device.Adopted(1));
  FlipAByte(file);
  device.learner.during = [&] { EXPECT_TRUE(RealFileSystem().Size(file)) << "it is back before anybody learns"; };
  device.Publish(2, 1, true, kWeightBytes);
  ASSERT_TRUE(device.RunUntilWithTime([&] { return !device.agent->failures().empty(); }));
  EXPECT_EQ(device.agent->failures().begin()->second.code, Code::kDamagedBlob);
  EXPECT_EQ(device.learner.fits, 0);
  ASSERT_TRUE(DeliveredBoth(device));
  EXPECT_EQ(device.learner.fits, 1);
  EXPECT_TRUE(device.agent->failures().empty());
  EXPECT_TRUE(RealFileSystem().Size(device.folder / "blobs" / (weights.hex() + ".damaged")));
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.Delivered(UploadKind::kDeviceState, 1) >= 1; }));
}

}  // namespace
}  // namespace tributary::agent_trouble_test

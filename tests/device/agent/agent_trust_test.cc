#include <algorithm>

#include <gtest/gtest.h>

#include "protocol/envelope/open_upload.h"
#include "tests/device/agent/agent_fixture.h"
#include "tests/support/guarded_disk.h"

// A device's beliefs and words when keys, time or publications are not as they should be.
namespace tributary::agent_trust_test {
namespace {

constexpr Millis kDay{24 * 3600 * 1000};

// The reports that arrived above, in their order.
std::vector<DeviceState> Reports(const AgentFixture& device) {
  std::map<uint64_t, DeviceState> reports;
  for (const auto& [id, stored] : device.server.sink.complete) {
    if (stored.header.subject.kind != UploadKind::kDeviceState) continue;
    auto opener = UploadOpener::Begin(stored.header, device.world.fleet.sealing_key());
    TRIBUTARY_CHECK(opener.has_value()) << opener.error().ToString();
    Bytes plaintext(limits::kMinChunkBytes);  // a report is one chunk
    const auto size = opener->OpenChunk(stored.chunks.at(0), plaintext);
    TRIBUTARY_CHECK(size.has_value()) << size.error().ToString();
    plaintext.resize(*size);
    auto report = DecodeDeviceState(plaintext);
    TRIBUTARY_CHECK(report.has_value()) << report.error().ToString();
    reports.emplace(report->sequence, std::move(*report));
  }
  std::vector<DeviceState> all;
  for (auto& [sequence, report] : reports) all.push_back(std::move(report));
  return all;
}

// How many came, without opening them.
size_t Came(const AgentFixture& device) {
  return static_cast<size_t>(std::ranges::count_if(device.server.sink.complete, [](const auto& of) {
    return of.second.header.subject.kind == UploadKind::kDeviceState;
  }));
}

// As RunUntilWithTime, with more time in each step.
bool RunFast(AgentFixture& device, const std::function<bool()>& condition) {
  for (int i = 0; i < 1'000 && !condition(); ++i) {
    for (int steps = 0; steps < 10; ++steps) device.Step();
    device.world.clock.Advance(Millis(500));
  }
  return condition();
}

// As Publish of the fixture, with other sealing keys.
void PublishKeys(AgentFixture& device, uint64_t number, uint64_t version, const Bytes& key,
                 std::vector<FormerSealingKey> former) {
  Publication publication =
      PublicationOf(device.world, MakePublication(device.world, device.server.blobs, number, ModelVersion{version}));
  publication.sealing_key = key;
  publication.former_keys = std::move(former);
  device.server->Publish(device.world.fleet.Publish(publication), number, 1);
}

// An application that is ended now and then is no news for an operator.
TEST(AgentTrustTest, ItsOwnEndInAFitIsReportedOnlyWhenItComesAgainAndAgain) {
  AgentFixture device;
  device.learner.apart = true;
  device.reports = true;
  device.Publish(1, 1);
  for (uint64_t life = 0; life <= kCutOffsAtOnce; ++life) {
    device.Start();
    ASSERT_TRUE(device.RunUntilWithTime(
        [&] { return !device.work.idle() && device.StateText().find("working") != std::string::npos; }));
    device.Kill();
    device.work.RunAll();  // it finds that it is over
  }
  device.Start();
  const auto said = [&] {
    for (const DeviceState& report : Reports(device)) {
      if (!report.failures.empty()) return std::optional(report.failures.begin()->second);
    }
    return std::optional<DeviceState::Failure>();
  };
  EXPECT_FALSE(said());
  ASSERT_TRUE(RunFast(device, [&] { return said().has_value(); }));
  EXPECT_EQ(said()->code, Code::kShuttingDown);
  EXPECT_EQ(said()->count, kCutOffsAtOnce + 1);
  EXPECT_FALSE(said()->lasting);
}

TEST(AgentTrustTest, ReportsWhatItInstalledAndGoesOnCountingAfterAKill) {
  AgentFixture device;
  device.reports = true;
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(
      device.RunUntil([&] { return Reports(device).size() == 1 && device.Delivered(UploadKind::kUpdate, 1) == 1; }));
  const DeviceState first = Reports(device)[0];
  EXPECT_EQ(first.sequence, 1u);
  EXPECT_EQ(first.publication_number, 1u);
  EXPECT_EQ(first.installed.at(TestTask("digits")).version, ModelVersion{1});
  EXPECT_EQ(first.withheld, "");
  device.Kill();
  device.Start();
  ASSERT_TRUE(device.RunUntil([&] { return Reports(device).size() == 2; }));
  EXPECT_EQ(OrderOf(first, Reports(device)[1]), DeviceStateOrder::kNext);
  EXPECT_EQ(Reports(device)[1].boots, 2u);
}

TEST(AgentTrustTest, AFailureOfATaskIsSaidAndTakenBackWhenALaterFitSucceeds) {
  AgentFixture device;
  device.reports = true;
  device.learner.failure = Error{Code::kNotFinite, "the loss became NaN"};
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(RunFast(device, [&] { return Came(device) == 2; }));
  EXPECT_TRUE(Reports(device)[0].failures.empty()) << "it was said before anything was tried";
  const DeviceState::Failure failure = Reports(device)[1].failures.at(TestTask("digits"));
  EXPECT_EQ(failure.code, Code::kNotFinite);
  EXPECT_EQ(failure.sentence, "the loss became NaN");
  EXPECT_EQ(failure.version, ModelVersion{1});
  EXPECT_EQ(failure.count, 1u);
  EXPECT_TRUE(failure.lasting) << "the version is given up";
  device.Kill();
  device.learner.failure.reset();
  device.Start();
  ASSERT_TRUE(RunFast(device, [&] { return Came(device) == 3; }));
  EXPECT_EQ(Reports(device)[2].failures.size(), 1u) << "a restart forgets nothing";
  device.Publish(2, 2);
  ASSERT_TRUE(RunFast(device, [&] { return Came(device) == 4 && device.Delivered(UploadKind::kUpdate, 2) == 1; }));
  EXPECT_TRUE(Reports(device).back().failures.empty());
  EXPECT_EQ(device.Delivered(UploadKind::kUpdate, 2), 1u);
  EXPECT_TRUE(device.agent->failures().empty());
}

// The real disk, which counts the changes to the file of an agent's state.
class StateCountingFiles final : public GuardedDisk {
 public:
  int states = 0;

 private:
  Status Change(const Path& path) override {
    if (path.filename() == "state.new") ++states;
    return {};
  }
};

TEST(AgentTrustTest, WhoLacksTheDataSaysSoOnceAndTakesPartAsSoonAsTheyAreThere) {
  StateCountingFiles files;
  AgentFixture device;
  device.files = &files;
  device.reports = true;
  device.examples.failure = Error{Code::kFewExamples, "the device has 3 examples to train on, the task asks for 48"};
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(RunFast(device, [&] { return Came(device) == 2; }));
  const DeviceState::Failure failure = Reports(device)[1].failures.at(TestTask("digits"));
  EXPECT_EQ(failure.code, Code::kFewExamples);
  EXPECT_TRUE(failure.lasting);
  EXPECT_EQ(device.learner.fits, 0);
  EXPECT_EQ(device.agent->counts().fits_failed, 0u) << "nothing was tried";
  // It looks again within 15 seconds after the data have changed, without a word, and writes nothing.
  const int looks = device.examples.loads, written = files.states;
  EXPECT_GT(written, 0);
  for (int quarter = 0; quarter < 4; ++quarter) {
    device.world.clock.Advance(Millis(15'000));
    for (int steps = 0; steps < 200; ++steps) device.Step();
  }
  EXPECT_EQ(device.examples.loads, looks) << "nothing has changed";
  device.examples.stamp = "an import";
  device.world.clock.Advance(Millis(15'000));
  ASSERT_TRUE(RunFast(device, [&] { return device.examples.loads == looks + 1; }));
  for (int steps = 0; steps < 200; ++steps) device.Step();
  EXPECT_EQ(device.examples.loads, looks + 1);
  EXPECT_EQ(files.states, written);
  EXPECT_EQ(Came(device), 2u);
  device.examples.failure.reset();
  device.examples.stamp = "another import";
  device.world.clock.Advance(Millis(15'000));
  bool over_before_the_fit = false;
  device.learner.during = [&] {
    over_before_the_fit = device.world.RunUntil([&] { return device.agent->failures().empty(); });
  };
  for (int steps = 0; steps < 1'000 && device.learner.fits == 0; ++steps) device.Step();
  EXPECT_EQ(device.learner.fits, 1) << "it takes no longer than that";
  EXPECT_TRUE(over_before_the_fit) << "a fit may take long, and a round is given up meanwhile";
  ASSERT_TRUE(RunFast(device, [&] { return Came(device) == 3; }));
  EXPECT_TRUE(Reports(device).back().failures.empty());
  EXPECT_EQ(device.learner.fits, 1);
  EXPECT_EQ(device.agent->counts().fits_failed, 0u);
}

TEST(AgentTrustTest, ABadExampleIsNotGivenUpAndTriedAgainSeldomOrAtARestart) {
  AgentFixture device;
  device.reports = true;
  device.learner.failure = Error{Code::kBadExample, "an example has the class 12, the model has 10 classes"};
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(RunFast(device, [&] { return Came(device) == 2; }));
  EXPECT_TRUE(Reports(device)[1].failures.at(TestTask("digits")).lasting);
  EXPECT_TRUE(device.StateText().ends_with("digits waiting 1 1\n")) << device.StateText();
  EXPECT_EQ(device.agent->counts().fits_failed, 1u);
  device.world.clock.Advance(Millis(200'000));
  for (int steps = 0; steps < 1'000; ++steps) device.Step();
  EXPECT_EQ(device.learner.fits, 1) << "a fit costs";
  device.world.clock.Advance(Millis(115'000));
  for (int steps = 0; steps < 1'000; ++steps) device.Step();
  EXPECT_EQ(device.learner.fits, 1) << "the same examples give the same";
  device.examples.stamp = "a correction";
  device.world.clock.Advance(Millis(15'000));
  ASSERT_TRUE(RunFast(device, [&] { return device.learner.fits == 2; }));
  device.Kill();
  device.learner.failure.reset();
  device.Start();
  ASSERT_TRUE(RunFast(device, [&] { return device.learner.fits == 3; }));
  ASSERT_TRUE(RunFast(device, [&] { return device.Delivered(UploadKind::kUpdate, 1) == 1; }));
  EXPECT_TRUE(device.agent->failures().empty());
}

TEST(AgentTrustTest, APublicationThatIsNotBelievedIsReported) {
  AgentFixture device;
  device.reports = true;
  device.Start();
  device.Publish(1, 1, /*with_round=*/false);
  ASSERT_TRUE(device.RunUntil([&] { return Reports(device).size() == 1; }));
  const TestFleet other;
  device.server->Publish(other.Publish(PublicationOf(
                             device.world, MakePublication(device.world, device.server.blobs, 1, ModelVersion{1}))),
                         9, 1);
  ASSERT_TRUE(device.RunUntilWithTime([&] { return Reports(device).size() == 2; }, 40'000));
  const DeviceState report = Reports(device)[1];
  EXPECT_EQ(report.publication_number, 1u);
  ASSERT_EQ(report.rejections.size(), 1u);
  EXPECT_GE(report.rejections.begin()->second.count, 1u);
  EXPECT_FALSE(report.rejections.begin()->second.last_sentence.empty());
  EXPECT_NE(report.withheld, "");
  EXPECT_EQ(report.installed.at(TestTask("digits")).version, ModelVersion{1});  // it goes on
}

TEST(AgentTrustTest, AnExpiredPublicationIsSaidAndAClockSetBackDoesNotReviveIt) {
  AgentFixture device;
  device.Start();
  device.Publish(1, 1, /*with_round=*/false);
  ASSERT_TRUE(device.RunUntil([&] { return device.floor->floor() >= kTestStart; }));
  EXPECT_EQ(device.agent->Withheld(), "");
  device.world.clock.Advance(2 * kDay);
  EXPECT_NE(device.agent->Withheld().find("expired"), std::string::npos);
  // A newer one is adopted; then the power fails and the clock begins at 1970.
  Publication publication =
      PublicationOf(device.world, MakePublication(device.world, device.server.blobs, 2, ModelVersion{1}));
  publication.created = device.world.clock.Now();
  publication.expires = device.world.clock.Now() + kDay;
  device.server->Publish(device.world.fleet.Publish(publication), 2, 1);
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.floor->floor() >= kTestStart + 2 * kDay; }));
  EXPECT_EQ(device.agent->Withheld(), "");
  device.Kill();
  device.world.clock.SetWall({0});
  device.Start();
  EXPECT_GE(device.floor->Now(), kTestStart + 2 * kDay);
}

TEST(AgentTrustTest, WhatIsSealedToAKeyThatIsOverIsMadeAgainForThePresentOne) {
  AgentFixture device;
  const HpkeKeyPair next = GenerateHpkeKeyPair();
  const KeyId old_id = HpkeKeyId(device.world.fleet.sealing_key().public_key);
  // It takes publications, but no uploads.
  device.server.sink.judge = [](const SignedEnvelope&) -> std::optional<Result<OfferAnswer>> {
    return Fail(Code::kBusy, "later");
  };
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(device.RunUntil([&] { return device.agent->account().Spooled() == 2; }));
  // Replaced, but still opened for a day: nothing changes.
  PublishKeys(device, 2, 1, next.public_key, {{old_id, kTestStart + kDay / 2}});
  ASSERT_TRUE(device.Adopted(2));
  for (int i = 0; i < 50; ++i) device.Step();
  EXPECT_EQ(device.learner.fits, 1);
  // Its time is over.
  device.world.clock.Advance(kDay / 2);
  device.server.sink.judge = [](const SignedEnvelope&) { return std::nullopt; };
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.Delivered(UploadKind::kUpdate, 1) == 1; }, 20'000));
  EXPECT_EQ(device.learner.fits, 2);
  EXPECT_EQ(device.agent->counts().made_again, 1u);
  for (const auto& [id, stored] : device.server.sink.complete)
    EXPECT_EQ(stored.header.subject.key_id, HpkeKeyId(next.public_key));
  EXPECT_TRUE(device.agent->account().Balances());
}

TEST(AgentTrustTest, AKeyThatThePublicationDoesNotNameIsOver) {
  AgentFixture device;
  device.server.sink.judge = [](const SignedEnvelope&) -> std::optional<Result<OfferAnswer>> {
    return Fail(Code::kBusy, "later");
  };
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(device.RunUntil([&] { return device.agent->account().Spooled() == 2; }));
  PublishKeys(device, 2, 1, GenerateHpkeKeyPair().public_key, {});
  ASSERT_TRUE(device.RunUntil([&] { return device.learner.fits == 2; }));
  ASSERT_TRUE(device.RunUntil([&] { return device.agent->account().Spooled() == 2; }));
  EXPECT_EQ(device.agent->account().of(UploadKind::kUpdate).dropped.at(Code::kUnknownKey), 1u);
}

TEST(AgentTrustTest, RefusedForItsKeyItWaitsForAnotherPublicationAndMakesItAgain) {
  AgentFixture device;
  const HpkeKeyPair next = GenerateHpkeKeyPair();
  device.server.sink.judge = [&](const SignedEnvelope& envelope) -> std::optional<Result<OfferAnswer>> {
    if (envelope.header.subject.key_id == HpkeKeyId(next.public_key)) return std::nullopt;
    return Fail(Code::kUnknownKey, "nobody holds it");
  };
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(device.RunUntil([&] { return device.agent->counts().given_up == 2; }));
  EXPECT_FALSE(device.RunUntilWithTime([&] { return device.learner.fits > 1; }, 3'000));
  PublishKeys(device, 2, 1, next.public_key, {});
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.Delivered(UploadKind::kUpdate, 1) == 1; }, 20'000));
  EXPECT_EQ(device.learner.fits, 2);
}

}  // namespace
}  // namespace tributary::agent_trust_test

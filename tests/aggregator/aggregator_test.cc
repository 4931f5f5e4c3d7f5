#include "aggregator/aggregator.h"

#include <thread>

#include <gtest/gtest.h>

#include "aggregator/operator/command/http_client.h"
#include "tests/aggregator/publish/test_publication_folder.h"
#include "tests/aggregator/round/round_fixture.h"
#include "tests/protocol/hop/hop_fixture.h"
#include "tests/support/must.h"
#include "tests/support/raw_session.h"
#include "tests/support/test_site.h"

namespace tributary::aggregator_test {
namespace {

class AggregatorTest : public ::testing::Test {
 protected:
  AggregatorTest() {
    options_.data_dir = world_.folder / "data";
    options_.identity_dir = world_.fleet.IssueInto(world_.folder / "identity", Role::kAggregator, "aggregator");
    Must(WriteFileAtomically(RealFileSystem(), options_.identity_dir / "root.json", publication_.root()));
    options_.publication_dir = publication_.path();
    options_.hop.endpoint = "tcp://127.0.0.1:*";
    options_.http.port = 0;
  }
  // A device that wants to connect.
  std::unique_ptr<TestSender> Device(const Aggregator& aggregator, const Identity& identity) {
    HopClient::Options to;
    to.endpoint = aggregator.endpoint();
    to.server_key = Must(LoadIdentity(options_.identity_dir, world_.clock.Now())).subject.curve_public_key;
    auto device = std::make_unique<TestSender>(world_, identity, world_.folder / identity.subject.id.text(), to);
    device->client().Start();
    return device;
  }

  HttpClient Http(const std::string& token = "") {
    return Must(HttpClient::Create({.url = "http://127.0.0.1:" + std::to_string(options_.http.port), .token = token}));
  }
  bool HasMetric(const std::string& line) {
    const HttpReply reply = Must(Http().GetAnyStatus("/metrics"));
    return ("\n" + reply.body).find("\n" + line + "\n") != std::string::npos;
  }

  HopWorld world_;
  TestPublicationFolder publication_;
  SystemRandom random_;
  AggregatorOptions options_;
};

TEST_F(AggregatorTest, ItsLimitsAreThoseOfItsConfiguration) {
  options_.hop.transport.gate.connections_per_address = 1;
  const auto aggregator = Must(Aggregator::Open(options_, world_.clock, random_, RealFileSystem()));
  std::thread running([&] { aggregator->Run(); });
  const Identity one = world_.fleet.Issue(Role::kDevice, "device-1"),
                 two = world_.fleet.Issue(Role::kDevice, "device-2");
  auto first = Device(*aggregator, one);
  EXPECT_TRUE(world_.RunUntilWithTime([&] { return first->client().up(); }));
  const auto second = Device(*aggregator, two);
  EXPECT_FALSE(world_.RunUntilWithTime([&] { return second->client().up(); }, Millis(20), 100));
  first.reset();
  EXPECT_TRUE(world_.RunUntilWithTime([&] { return second->client().up(); }));
  aggregator->Stop();
  running.join();
}

TEST_F(AggregatorTest, ItsMetricsSayHowManyRoundsAreOpen) {
  RoundFixture rounds;
  for (const char* task : {"digits", "letters", "words"}) rounds.CreateTask({.report_goal = 3}, task);
  for (const char* task : {"digits", "words"}) Must(rounds.core().rounds().Start(TestTask(task), 1));
  rounds.Close();
  options_.data_dir = rounds.folder.path();
  options_.http.port = static_cast<uint16_t>(TestSite::FreePort());
  const auto aggregator = Must(Aggregator::Open(options_, world_.clock, random_, RealFileSystem()));
  std::thread running([&] { aggregator->Run(); });
  EXPECT_TRUE(world_.RunUntilWithTime([&] { return HasMetric("tributary_aggregator_tasks 3"); }, Millis(20), 500));
  EXPECT_TRUE(HasMetric("tributary_aggregator_open_rounds 2"));
  aggregator->Stop();
  running.join();
}

TEST_F(AggregatorTest, ItsMetricsHaveTheMeansThatATasksManifestNames) {
  RoundFixture rounds;
  TaskRecord task = rounds.NewTask({.report_goal = 3});
  task.manifest.metrics = {{"mae", MetricDirection::kSmaller}};
  Must(rounds.core().tasks().Create(task, rounds.PutInitialWeights()));
  const TaskMetrics metrics = {{"loss", {2, 4}}, {"mae", {1, 4}}, {"made-up", {1, 1}}};
  EXPECT_TRUE(rounds.Give(rounds.Evaluation("d1", ModelVersion{1}, {{EvaluatedModel::kPersonal, 4, 1, metrics}})));
  Must(rounds.core().rounds().Start(task.id, 1));
  EXPECT_TRUE(rounds.Give(rounds.Update(1, ModelVersion{1})));
  Must(rounds.core().Flush());
  rounds.Close();
  options_.data_dir = rounds.folder.path();
  options_.http.port = static_cast<uint16_t>(TestSite::FreePort());
  const auto aggregator = Must(Aggregator::Open(options_, world_.clock, random_, RealFileSystem()));
  std::thread running([&] { aggregator->Run(); });
  const auto has = [this](const std::string& labels, const std::string& value) {
    return HasMetric("tributary_aggregator_task_metric{" + labels + "} " + value);
  };
  EXPECT_TRUE(world_.RunUntilWithTime([&] { return has(R"(metric="mae",task="digits",view="personal")", "0.25"); },
                                      Millis(20), 500));
  EXPECT_TRUE(has(R"(metric="loss",task="digits",view="personal")", "0.5"));
  EXPECT_FALSE(has(R"(metric="made-up",task="digits",view="personal")", "1")) << "a device may not make up labels";
  aggregator->Stop();
  running.join();
}

// The system's clock is 40 days ahead for 15 seconds while a round is started: members hear of it afterwards, by the right
// date, and the round has its deadline.
TEST_F(AggregatorTest, SignsNothingWhileItsClockHasJumped) {
  RoundFixture rounds;
  rounds.CreateTask({.report_goal = 3}, "digits");
  rounds.Close();
  options_.data_dir = rounds.folder.path();
  options_.http.port = static_cast<uint16_t>(TestSite::FreePort());
  const auto aggregator = Must(Aggregator::Open(options_, world_.clock, random_, RealFileSystem()));
  std::thread running([&] { aggregator->Run(); });
  const auto published = [&] {
    const auto bytes = ReadFile(RealFileSystem(), options_.data_dir / "publication.bin", limits::kPublicationBytes);
    const PublicationSet set = Must(DecodePublicationSet(Must(bytes)));
    return Must(tuf::ParseMetadata<tuf::Timestamp>(set.timestamp)).body;
  };
  const auto settled = [&] {
    const HttpReply reply = Must(Http().GetAnyStatus("/readyz"));
    return reply.body.find("clock-jumped") == std::string::npos;
  };
  const auto before = published();
  const WallTime now = world_.clock.Now();
  world_.clock.SetWall(now + std::chrono::hours(24 * 40));
  EXPECT_TRUE(world_.RunUntil([&] { return !settled(); }));
  const std::string token = Must(ApiTokenStore(options_.data_dir / "tokens").Add({"boss", HttpAccess::kAdmin, {}, {}}, random_));
  EXPECT_EQ(Must(Http(token).Post("/api/v1/tasks/digits/rounds", R"({"count": 1})")).status, 202);
  EXPECT_EQ(published().version, before.version);
  world_.clock.SetWall(now);
  EXPECT_TRUE(world_.RunUntilWithTime([&] { return settled() && published().version > before.version; }, Millis(20), 500));
  EXPECT_LE(published().expires, before.expires + std::chrono::hours(1));
  aggregator->Stop();
  running.join();
}

// The question is whether the aggregator was restored from a backup; an answer that is true ends it.
TEST_F(AggregatorTest, AMemberThatClaimsTheHighestPublicationAgainAndAgainTakesNoQuestionFromAnother) {
  const auto aggregator = Must(Aggregator::Open(options_, world_.clock, random_, RealFileSystem()));
  std::thread running([&] { aggregator->Run(); });
  const Identity hostile = world_.fleet.Issue(Role::kDevice, "hostile"),
                 honest = world_.fleet.Issue(Role::kDevice, "honest");
  const Subject server = Must(LoadIdentity(options_.identity_dir, world_.clock.Now())).subject;
  DeviceThread thread;
  const auto is_asked = [&](const Identity& member, uint64_t number) {
    RawSession session(thread, member, {aggregator->endpoint(), ToHex(server.curve_public_key)});
    EXPECT_EQ(session.Greet(), "welcome");
    hop::CheckIn check_in;
    check_in.publication_number = number;
    check_in.root_version = 1;
    session.Send(check_in);
    while (const auto message = session.Receive()) {
      if (const auto* answer = std::get_if<hop::Assignment>(&*message)) return answer->wants_publication;
    }
    ADD_FAILURE() << "no answer";
    return false;
  };
  EXPECT_FALSE(is_asked(honest, 0));
  EXPECT_TRUE(is_asked(hostile, ~uint64_t{0}));
  EXPECT_FALSE(is_asked(honest, 1'000)) << "one in a second";
  for (int second = 0; second < 3; ++second) {
    world_.clock.Advance(Millis(1'000));
    EXPECT_FALSE(is_asked(hostile, ~uint64_t{0} - 1)) << second;
    EXPECT_EQ(is_asked(honest, 1'000), second == 0) << second;
  }
  world_.clock.Advance(Millis(600'000));
  EXPECT_TRUE(is_asked(hostile, ~uint64_t{0})) << "it may be right one day";
  aggregator->Stop();
  running.join();
}

}  // namespace
}  // namespace tributary::aggregator_test

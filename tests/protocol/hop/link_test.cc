#include <gtest/gtest.h>

#include "tests/protocol/hop/hop_fixture.h"

// The fate of links: loops of upstreams, paths, broken connections, reports and counters.
namespace tributary::link_test {
namespace {

// A server and the client that connects it to the next, as a gateway has them.
struct Node {
  Node(HopWorld& owner, std::string_view id, Role role = Role::kGateway) : world(owner), server(owner, role, id) {}
  void ConnectTo(const TestServer& above) {
    client.reset();
    client = std::make_unique<TestSender>(
        world, server.identity(), world.folder / (server.identity().subject.id.text() + "-spool"), above.Address());
    client->on_path = [this](const std::vector<DeviceId>& above_this) {
      path = above_this;
      server->SetPath(above_this);
    };
    client->client().Start();
  }
  bool up() const { return client->client().up(); }
  bool InALoop() const { return !up() && client->client().last_problem().code == Code::kUpstreamCycle; }
  std::string PathText() const {
    std::string text;
    for (const DeviceId& id : path) text += (text.empty() ? "" : " ") + id.text();
    return text;
  }

  HopWorld& world;
  TestServer server;
  std::unique_ptr<TestSender> client;
  std::vector<DeviceId> path;
};

class LinkTest : public ::testing::Test {
 protected:
  HopWorld world_;
};

TEST_F(LinkTest, APathSettlesThroughATreeWhateverTheOrderOfConnecting) {
  Node top(world_, "top", Role::kAggregator), a(world_, "a"), b(world_, "b"), c(world_, "c");
  c.ConnectTo(b.server);
  ASSERT_TRUE(world_.RunUntil([&] { return c.up(); }));
  EXPECT_EQ(c.PathText(), "b");
  b.ConnectTo(a.server);
  ASSERT_TRUE(world_.RunUntil([&] { return c.PathText() == "b a"; })) << c.PathText();
  // The clock stands still: notices carry it down.
  a.ConnectTo(top.server);
  ASSERT_TRUE(world_.RunUntil([&] { return c.PathText() == "b a top"; })) << c.PathText();
  EXPECT_TRUE(a.up() && b.up() && c.up());
}

TEST_F(LinkTest, AGatewayThatIsItsOwnUpstreamSaysSoAndStaysDown) {
  Node a(world_, "a");
  a.ConnectTo(a.server);
  ASSERT_TRUE(world_.RunUntil([&] { return a.InALoop(); }));
  EXPECT_NE(a.client->client().last_problem().message.find("a -> a"), std::string::npos)
      << a.client->client().last_problem().message;
  // It asks again at the slowest pace: once within 30 s.
  const uint64_t asked = a.server->counts().handshakes;
  world_.RunUntilWithTime([] { return false; }, Millis(100), 290);
  EXPECT_LE(a.server->counts().handshakes, asked + 1);
  EXPECT_TRUE(a.path.empty());
}

TEST_F(LinkTest, TwoGatewaysThatNameEachOtherAreFoundOutAndHealWhenOneIsMended) {
  Node top(world_, "top", Role::kAggregator), a(world_, "a"), b(world_, "b");
  a.ConnectTo(b.server);
  b.ConnectTo(a.server);
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return a.InALoop() || b.InALoop(); }));
  // However often it is tried, the loop does not close.
  bool both = false;
  world_.RunUntilWithTime(
      [&] {
        both = both || (a.up() && b.up() && !a.path.empty() && !b.path.empty());
        return both;
      },
      Millis(100), 1'000);
  EXPECT_FALSE(both);
  b.server.Stop();
  b.server.Start();
  b.ConnectTo(top.server);
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return a.up() && b.up() && a.PathText() == "b top"; }, Millis(100)))
      << a.PathText();
}

TEST_F(LinkTest, ARingOfThreeIsFoundOut) {
  Node a(world_, "a"), b(world_, "b"), c(world_, "c");
  a.ConnectTo(b.server);
  b.ConnectTo(c.server);
  c.ConnectTo(a.server);
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return a.InALoop() || b.InALoop() || c.InALoop(); }));
  const Node& found = a.InALoop() ? a : b.InALoop() ? b : c;
  const std::string& why = found.client->client().last_problem().message;
  for (const char* name : {"a", "b", "c"}) EXPECT_NE(why.find(name), std::string::npos) << why;
}

TEST_F(LinkTest, ALoopThatIsClosedWhileBothAreUpIsFoundOut) {
  Node top(world_, "top", Role::kAggregator), a(world_, "a"), b(world_, "b");
  b.ConnectTo(top.server);
  a.ConnectTo(b.server);
  ASSERT_TRUE(world_.RunUntil([&] { return a.PathText() == "b top"; }));
  b.ConnectTo(a.server);  // somebody changed its upstream
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return b.InALoop(); }));
  EXPECT_NE(b.client->client().last_problem().message.find("b -> a -> b"), std::string::npos)
      << b.client->client().last_problem().message;
}

TEST_F(LinkTest, ASessionOfAGatewayThatComesToLieAboveIsEnded) {
  Node a(world_, "a"), b(world_, "b");
  a.ConnectTo(b.server);
  ASSERT_TRUE(world_.RunUntil([&] { return a.up(); }));
  b.server->SetPath({TestDevice("x"), TestDevice("a")});
  ASSERT_TRUE(world_.RunUntil([&] { return a.InALoop(); }));
  EXPECT_EQ(b.server->counts().sessions, 0u);
}

// ---- broken connections

TEST_F(LinkTest, AServerThatGoesAwayIsNoticedAtOnce) {
  Node a(world_, "a"), b(world_, "b");
  a.ConnectTo(b.server);
  ASSERT_TRUE(world_.RunUntil([&] { return a.up(); }));
  b.server.Stop();
  // The clock stands still.
  ASSERT_TRUE(world_.RunUntil([&] { return !a.up(); }));
  EXPECT_EQ(a.client->client().last_problem().code, Code::kUnreachable);
}

TEST_F(LinkTest, AClientThatGoesAwayIsNoticedAtOnceAndItsCreditIsFreeAgain) {
  Node a(world_, "a"), b(world_, "b");
  b.server.sink.hold_chunks = true;
  a.ConnectTo(b.server);
  const Identity device = world_.fleet.Issue(Role::kDevice, "device-1");
  for (int base = 1; base < 4; ++base) a.client->Put(MakeSealed(world_, device, 50'000, ModelVersion(base)));
  ASSERT_TRUE(world_.RunUntil([&] { return b.server.sink.held() >= 3; }));
  a.client.reset();  // no goodbye
  ASSERT_TRUE(world_.RunUntil([&] { return b.server->counts().sessions == 0; }));
  b.server.sink.Release();
  EXPECT_EQ(b.server->counts().credit_in_use, 0u);
}

TEST_F(LinkTest, AServerThatSaysNothingIsGivenUpAfterTheAnswerTimeout) {
  Node a(world_, "a"), b(world_, "b");
  a.ConnectTo(b.server);
  ASSERT_TRUE(world_.RunUntil([&] { return a.up() && !b.server.check_ins.empty(); }));
  const std::vector<Loop*> loops = world_.server_loops;
  world_.server_loops.clear();  // it hangs
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !a.up(); }, Millis(200)));
  EXPECT_EQ(a.client->client().last_problem().code, Code::kTimeout);
  world_.server_loops = loops;
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return a.up(); }, Millis(100)));
}

TEST_F(LinkTest, AQuestionThatWasOpenAtAStopDoesNotEndTheNextStart) {
  Node a(world_, "a"), b(world_, "b");
  a.ConnectTo(b.server);
  ASSERT_TRUE(world_.RunUntil([&] { return a.up() && !b.server.check_ins.empty(); }));
  const std::vector<Loop*> loops = world_.server_loops;
  world_.server_loops.clear();  // it hangs
  a.client->client().CheckInNow();
  a.client->client().Stop();
  world_.clock.Advance(Millis(3'600'000));
  world_.server_loops = loops;
  a.client->client().Start();
  // The clock stands still: the first attempt is the one that connects.
  ASSERT_TRUE(world_.RunUntil([&] { return a.up(); })) << a.client->client().last_problem().ToString();
}

// ---- check-ins

GatewayState ReportOf(std::string_view gateway) {
  GatewayState report;
  report.gateway = TestDevice(std::string(gateway));
  report.age_millis = 7;
  return report;
}

TEST_F(LinkTest, AGatewaysReportsArriveAndTheFirstNamesItsParent) {
  Node a(world_, "a"), b(world_, "b");
  GatewayState below = ReportOf("below");
  below.parent = TestDevice("a");
  a.ConnectTo(b.server);
  a.client->self.reports = {ReportOf("a"), below};
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !b.server.check_ins.empty(); }));
  const auto& reports = b.server.check_ins.back().second.reports;
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_EQ(reports[0].parent, TestDevice("b"));
  EXPECT_EQ(reports[1].parent, TestDevice("a"));
  EXPECT_EQ(reports[1].age_millis, 7u);
}

TEST_F(LinkTest, ReportsInAnotherNameCloseTheSession) {
  Node b(world_, "b");
  for (const Role role : {Role::kDevice, Role::kGateway}) {
    const Identity identity = world_.fleet.Issue(role, "a");
    RawClient client(world_, b.server, identity);
    ASSERT_EQ(client.Introduce(identity), std::nullopt);
    hop::CheckIn check_in;
    check_in.reports = {ReportOf(role == Role::kDevice ? "a" : "other")};
    client.Send(check_in);
    EXPECT_EQ(client.AwaitRefused(), Code::kMalformed);
  }
  EXPECT_TRUE(b.server.check_ins.empty());
}

TEST_F(LinkTest, DevicesAreAskedToCheckInMoreRarelyTheMoreThereAre) {
  HopServer::Options options;
  options.check_ins_per_second = 1;
  options.check_in_interval = Millis(1'500);
  TestServer server(world_, Role::kGateway, "b", options);
  std::vector<std::unique_ptr<RawClient>> clients;
  std::vector<Identity> identities;
  for (int i = 0; i < 3; ++i) identities.push_back(world_.fleet.Issue(Role::kDevice, "device-" + std::to_string(i)));
  for (const Identity& identity : identities) {
    clients.push_back(std::make_unique<RawClient>(world_, server, identity));
    ASSERT_EQ(clients.back()->Introduce(identity), std::nullopt);
  }
  clients[0]->Send(hop::CheckIn{});
  const auto assignment = clients[0]->Await<hop::Assignment>();
  ASSERT_TRUE(assignment);
  EXPECT_EQ(assignment->check_in_millis, 3'000u);
  const Identity gateway = world_.fleet.Issue(Role::kGateway, "a");
  RawClient client(world_, server, gateway);
  ASSERT_EQ(client.Introduce(gateway), std::nullopt);
  client.Send(hop::CheckIn{});
  const auto of_gateway = client.Await<hop::Assignment>();
  ASSERT_TRUE(of_gateway);
  EXPECT_EQ(of_gateway->check_in_millis, 1'500u);
}

TEST_F(LinkTest, BothEndsCountTheSameBytesByPurpose) {
  Node a(world_, "a"), b(world_, "b");
  a.ConnectTo(b.server);
  const SealedUpload upload = MakeSealed(world_, world_.fleet.Issue(Role::kDevice, "device-1"), 50'000);
  a.client->Put(upload);
  ASSERT_TRUE(world_.RunUntil([&] { return !a.client->gone.empty(); }));
  const auto& of_client = a.client->client().link();
  const auto& of_server = b.server->counts().link;
  for (const LinkPurpose purpose : {LinkPurpose::kUploads, LinkPurpose::kControl}) {
    EXPECT_EQ(of_client.at(purpose), of_server.at(purpose)) << static_cast<int>(purpose);
  }
  const LinkBytes& uploads = of_client.at(LinkPurpose::kUploads);
  EXPECT_GT(uploads.up, upload.header.ciphertext_size);
  EXPECT_LT(uploads.up, upload.header.ciphertext_size + 5'000);
  EXPECT_EQ(uploads.resent, 0u);
}

}  // namespace
}  // namespace tributary::link_test

#include <gtest/gtest.h>

#include "tests/protocol/hop/hop_fixture.h"

// A server changes its connection key while its clients have the old one.
namespace tributary::server_key_test {
namespace {

class ServerKeyTest : public ::testing::Test {
 protected:
  std::unique_ptr<HopClient> Client(HopClient::Options options) {
    return std::make_unique<HopClient>(HopClient::Parts{world_.loop, world_.clock, world_.random, device_},
                                       std::move(options),
                                       HopClient::Hooks{[] { return hop::CheckIn{}; },
                                                        [](ByteView) {},
                                                        {},
                                                        [this](const Bytes& key, const VerifiedIdentity& verified) {
                                                          EXPECT_EQ(key, verified.subject.curve_public_key);
                                                          learned_.push_back(key);
                                                        }});
  }
  bool GoesUp(HopClient& client) {
    return world_.RunUntilWithTime([&] { return client.up(); });
  }

  HopWorld world_;
  TestServer server_{world_, Role::kGateway, "gateway-1"};
  Identity device_ = world_.fleet.Issue(Role::kDevice, "device-1");
  Identity next_ = world_.fleet.Issue(Role::kGateway, "gateway-1");
  std::vector<Bytes> learned_;
};

TEST_F(ServerKeyTest, ClientsLearnTheNextKeyInTheirSessionAndInTheirNextOne) {
  const auto connected = Client(server_.Address());
  connected->Start();
  ASSERT_TRUE(GoesUp(*connected));
  EXPECT_TRUE(learned_.empty());
  ASSERT_TRUE(server_->SetNextIdentity(next_.chain));
  ASSERT_TRUE(world_.RunUntil([&] { return !learned_.empty(); }));
  EXPECT_EQ(learned_, std::vector<Bytes>{next_.subject.curve_public_key});
  connected->Stop();
  const auto later = Client(server_.Address());
  later->Start();
  ASSERT_TRUE(GoesUp(*later));
  ASSERT_TRUE(world_.RunUntil([&] { return learned_.size() == 2; }));
  // It is said once in a session, however often the server says it.
  later->CheckInNow();
  for (int i = 0; i < 50; ++i) world_.Turn();
  EXPECT_EQ(learned_.size(), 2u);
}

TEST_F(ServerKeyTest, AClientFollowsTheServerToItsNextKey) {
  ASSERT_TRUE(server_->SetNextIdentity(next_.chain));
  const auto client = Client(server_.Address());
  client->Start();
  ASSERT_TRUE(GoesUp(*client));
  server_.Stop();
  server_.Become(next_);
  server_.Start();
  EXPECT_TRUE(world_.RunUntilWithTime([&] { return server_->counts().sessions == 1 && client->up(); }));
}

TEST_F(ServerKeyTest, AClientThatWasAwayFindsTheServerByTheKeyItKept) {
  const HopClient::Options old_address = server_.Address();
  server_.Stop();
  server_.Become(next_);
  server_.Start();
  const auto without = Client(old_address);
  without->Start();
  EXPECT_FALSE(world_.RunUntilWithTime([&] { return without->up(); }, Millis(100), 300));
  HopClient::Options kept = old_address;
  kept.server_keys = {old_address.server_key, next_.subject.curve_public_key};
  const auto client = Client(kept);
  client->Start();
  EXPECT_TRUE(GoesUp(*client));
}

TEST_F(ServerKeyTest, AServerAnnouncesOnlyItself) {
  const Identity other = world_.fleet.Issue(Role::kGateway, "gateway-2");
  const Identity device = world_.fleet.Issue(Role::kDevice, "gateway-1");
  EXPECT_EQ(server_->SetNextIdentity(other.chain).error().code, Code::kWrongIdentity);
  EXPECT_EQ(server_->SetNextIdentity(device.chain).error().code, Code::kWrongIdentity);
  EXPECT_EQ(server_->SetNextIdentity(TestFleet().Issue(Role::kGateway, "gateway-1").chain).error().code,
            Code::kUnknownCertificate);
  EXPECT_TRUE(server_->SetNextIdentity({}));
}

// A server that has been taken over announces a key of the thief's, certified for another member.
TEST_F(ServerKeyTest, AClientLearnsNoKeyButThatOfTheSameServer) {
  const Identity other = world_.fleet.Issue(Role::kGateway, "gateway-2");
  const Identity stranger = TestFleet().Issue(Role::kGateway, "gateway-1");
  for (const Identity* false_next : {&other, &stranger}) {
    FakeServer fake(world_, server_.identity(), false_next->chain);
    HopClient::Options options = server_.Address();
    options.endpoint = fake.endpoint();
    const auto client = Client(options);
    client->Start();
    ASSERT_TRUE(GoesUp(*client));
    for (int i = 0; i < 50; ++i) world_.Turn();
    EXPECT_TRUE(learned_.empty());
  }
}

TEST_F(ServerKeyTest, AWrongKeyIsNamedAndNotMetWithSilence) {
  HopClient::Options wrong = server_.Address();
  wrong.server_key = next_.subject.curve_public_key;
  const auto client = Client(wrong);
  client->Start();
  ASSERT_TRUE(world_.RunUntilWithTime(
      [&] { return client->last_problem().message.find("does not answer to the key") != std::string::npos; },
      Millis(1)))
      << client->last_problem().message;
  EXPECT_NE(client->last_problem().message.find(ToHex(wrong.server_key)), std::string::npos);
  EXPECT_EQ(client->last_problem().code, Code::kUnreachable);
  // Nobody at all is another matter.
  client->Stop();
  HopClient::Options nobody = server_.Address();
  server_.Stop();
  const auto alone = Client(nobody);
  alone->Start();
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return alone->last_problem().message.starts_with("no answer from"); }));
}

}  // namespace
}  // namespace tributary::server_key_test

#include <gtest/gtest.h>

#include "tests/protocol/hop/hop_fixture.h"

// How much of a server somebody can take who proves nothing, and how much a member can.
namespace tributary::limits_test {
namespace {

class HopLimitsTest : public ::testing::Test {
 protected:
  std::unique_ptr<RawClient> Stranger(const TestServer& server) {
    return std::make_unique<RawClient>(world_, server, GenerateCurveKeyPair().secret);
  }
  // The connection is cut: what is said on it from now on is said on another.
  bool IsCut(TestServer& server, uint64_t unproven_then) {
    return world_.RunUntil([&] { return server->counts().unproven < unproven_then; });
  }
  uint64_t TurnedAwayFor(TestServer& server, TurnedAway reason) {
    const auto& counts = server->counts().turned_away;
    const auto found = counts.find(reason);
    return found == counts.end() ? 0 : found->second;
  }

  HopWorld world_;
  Identity device_ = world_.fleet.Issue(Role::kDevice, "device-1");
};

TEST_F(HopLimitsTest, TheOldestUnprovenSessionGivesWay) {
  HopServer::Options options;
  options.max_unproven = 2;
  TestServer server(world_, Role::kGateway, "gateway-1", options);
  const auto oldest = Stranger(server), middle = Stranger(server), newest = Stranger(server);
  ASSERT_TRUE(oldest->Greet());
  ASSERT_TRUE(middle->Greet());
  ASSERT_TRUE(newest->Greet());
  EXPECT_EQ(oldest->AwaitRefused(), Code::kBusy);
  // Strangers do not take the place of a member, nor a member theirs.
  RawClient member(world_, server, device_);
  EXPECT_EQ(member.Introduce(device_), std::nullopt);
  EXPECT_EQ(middle->AwaitRefused(), Code::kBusy);
  EXPECT_EQ(server->counts().sessions, 1u);
}

TEST_F(HopLimitsTest, UnprovenSessionsDoNotCountAsSessions) {
  HopServer::Options options;
  options.max_sessions = 1;
  TestServer server(world_, Role::kGateway, "gateway-1", options);
  const auto first = Stranger(server), second = Stranger(server);
  ASSERT_TRUE(first->Greet());
  ASSERT_TRUE(second->Greet());
  RawClient member(world_, server, device_);
  EXPECT_EQ(member.Introduce(device_), std::nullopt);
}

TEST_F(HopLimitsTest, AMessageBeforeTheProofIsSmall) {
  TestServer server(world_, Role::kGateway, "gateway-1");
  const size_t limit = HopServer::Options().max_unproven_message;
  const auto silent = Stranger(server);
  silent->SendBytes(Bytes(limit + 1));
  EXPECT_EQ(silent->AwaitRefused(), Code::kTooLarge);
  const auto greeted = Stranger(server);
  ASSERT_TRUE(greeted->Greet());
  greeted->Send(hop::Chunk{world_.random.TakeUploadId(), 0}, Bytes(limit));
  EXPECT_EQ(greeted->AwaitRefused(), Code::kTooLarge);
  // A member may say more.
  RawClient member(world_, server, device_);
  ASSERT_EQ(member.Introduce(device_), std::nullopt);
  member.SendBytes(Bytes(limit + 1));
  EXPECT_EQ(member.AwaitRefused(), Code::kMalformed);
}

TEST_F(HopLimitsTest, WhoeverConnectsAndSaysNothingIsCut) {
  TestServer server(world_, Role::kGateway, "gateway-1");
  RawClient member(world_, server, device_);
  ASSERT_EQ(member.Introduce(device_), std::nullopt);
  const auto silent = Stranger(server);
  ASSERT_TRUE(world_.RunUntil([&] { return server->counts().unproven == 1; }));
  world_.clock.Advance(TransportOptions().unproven_timeout - Millis(1'000));
  for (int i = 0; i < 20; ++i) world_.Turn();
  EXPECT_EQ(server->counts().unproven, 1u);
  world_.clock.Advance(Millis(1'000));
  EXPECT_TRUE(world_.RunUntil([&] { return TurnedAwayFor(server, TurnedAway::kTooSlow) == 1; }));
  member.Send(hop::CheckIn{});  // the member stays
  EXPECT_TRUE(member.Await<hop::Assignment>());
}

TEST_F(HopLimitsTest, TheOldestUnprovenConnectionGivesWay) {
  HopServer::Options options;
  options.transport.max_unproven = 2;
  TestServer server(world_, Role::kGateway, "gateway-1", options);
  std::vector<std::unique_ptr<RawClient>> strangers;
  for (int i = 0; i < 3; ++i) {
    strangers.push_back(Stranger(server));
    ASSERT_TRUE(strangers.back()->Greet());
  }
  EXPECT_EQ(TurnedAwayFor(server, TurnedAway::kGaveWay), 1u);
  EXPECT_LE(server->counts().unproven, 2u);
}

TEST_F(HopLimitsTest, WhoeverFailsItsProofAgainAndAgainIsTurnedAwayForAWhile) {
  HopServer::Options options;
  options.transport.gate.failures_per_key = {0.1, 3};
  TestServer server(world_, Role::kGateway, "gateway-1", options);
  for (int i = 0; i < 3; ++i) {
    RawClient thief(world_, server, device_);  // with the device's connection key
    ASSERT_TRUE(thief.Greet());
    thief.Send(hop::Proof{device_.chain, Bytes(64)});
    ASSERT_EQ(thief.AwaitRefused(), Code::kBadSignature);
  }
  RawClient again(world_, server, device_);
  again.Send(hop::Greeting(world_.random));
  ASSERT_TRUE(world_.RunUntil([&] { return TurnedAwayFor(server, TurnedAway::kKeyFailed) > 0; }));
  EXPECT_TRUE(again.received.empty());
  // Another is served meanwhile, and after a while so is this one.
  const Identity other = world_.fleet.Issue(Role::kDevice, "device-2");
  EXPECT_EQ(RawClient(world_, server, other).Introduce(other), std::nullopt);
  world_.clock.Advance(Millis(10'000));
  EXPECT_EQ(RawClient(world_, server, device_).Introduce(device_), std::nullopt);
}

TEST_F(HopLimitsTest, AnAddressThatFailsAgainAndAgainDoesNotTakeItsNeighboursAlong) {
  HopServer::Options options;
  options.transport.gate.failures_per_address = {0.1, 3};
  TestServer server(world_, Role::kGateway, "gateway-1", options);
  EXPECT_EQ(RawClient(world_, server, device_).Introduce(device_), std::nullopt);
  for (int i = 0; i < 3; ++i) {
    const auto stranger = Stranger(server);
    ASSERT_TRUE(stranger->Greet());
    stranger->Send(hop::Proof{device_.chain, Bytes(64)});
    ASSERT_EQ(stranger->AwaitRefused(), Code::kWrongIdentity);
  }
  const auto next = Stranger(server);
  next->Send(hop::Greeting(world_.random));
  ASSERT_TRUE(world_.RunUntil([&] { return TurnedAwayFor(server, TurnedAway::kAddressFailed) > 0; }));
  // All of them come from the loopback's address; the device's key has proven itself before.
  EXPECT_EQ(RawClient(world_, server, device_).Introduce(device_), std::nullopt);
}

TEST_F(HopLimitsTest, AnAddressHasSoManyConnectionsAndNoMore) {
  HopServer::Options options;
  options.transport.gate.connections_per_address = 2;
  TestServer server(world_, Role::kGateway, "gateway-1", options);
  auto first = Stranger(server), second = Stranger(server);
  ASSERT_TRUE(first->Greet());
  ASSERT_TRUE(second->Greet());
  const auto third = Stranger(server);
  third->Send(hop::Greeting(world_.random));
  ASSERT_TRUE(world_.RunUntil([&] { return TurnedAwayFor(server, TurnedAway::kAddressFull) > 0; }));
  EXPECT_TRUE(third->received.empty());
  first.reset();
  second.reset();
  // There is room again. (Whether the third's greeting goes out again with libzmq's next attempt depends on how far it
  // had come; a HopClient begins anew by itself.)
  ASSERT_TRUE(world_.RunUntil([&] { return server->counts().unproven <= 1; }));
  EXPECT_TRUE(Stranger(server)->Greet());
}

TEST_F(HopLimitsTest, AMemberThatTalksTooMuchIsClosedAndTheOthersGoOn) {
  HopServer::Options options;
  options.member_messages = {10, 20};
  TestServer server(world_, Role::kGateway, "gateway-1", options);
  const Identity other_identity = world_.fleet.Issue(Role::kDevice, "device-2");
  RawClient other(world_, server, other_identity), talker(world_, server, device_);
  ASSERT_EQ(other.Introduce(other_identity), std::nullopt);
  ASSERT_EQ(talker.Introduce(device_), std::nullopt);
  for (int i = 0; i < 20; ++i) talker.Send(hop::CheckIn{});
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(talker.Await<hop::Assignment>()) << i;
  world_.clock.Advance(Millis(100));
  talker.Send(hop::CheckIn{});  // one in 100 ms may come
  ASSERT_TRUE(talker.Await<hop::Assignment>());
  talker.Send(hop::CheckIn{});
  EXPECT_EQ(talker.AwaitRefused(), Code::kTooFast);
  other.Send(hop::CheckIn{});
  EXPECT_TRUE(other.Await<hop::Assignment>());
}

TEST_F(HopLimitsTest, AMemberThatDoesNotReadIsGivenNoMore) {
  HopServer::Options options;
  options.max_unread_bytes = limits::kMiB;
  TestServer server(world_, Role::kGateway, "gateway-1", options);
  const Bytes blob = world_.random.TakeBytes(limits::kPieceBytes);
  const Digest digest = server.blobs.Put(blob).value();
  RawClient reader(world_, server, device_);
  ASSERT_EQ(reader.Introduce(device_), std::nullopt);
  // Asked for all at once: before the first has left, there is no room for the last.
  for (int i = 0; i < 64; ++i) reader.Send(hop::Fetch{digest, 0, limits::kPieceBytes});
  const auto refused = reader.Await<hop::FetchRefused>();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->refusal.code, Code::kTooFast);
  // It gets everything that it asks for then.
  bool got = false;
  EXPECT_TRUE(world_.RunUntil([&] {
    if (!got) reader.Send(hop::Fetch{digest, 0, limits::kPieceBytes});
    world_.Turn();
    while (!reader.received.empty()) {
      got = got || std::holds_alternative<hop::Piece>(reader.received.front().first);
      reader.received.pop_front();
    }
    return got;
  }));
}

TEST_F(HopLimitsTest, TheSamePublicationIsNotGivenTwiceAtOnce) {
  TestServer server(world_, Role::kGateway, "gateway-1");
  server->Publish(Bytes(1'000, 1), 1, 1);
  RawClient client(world_, server, device_);
  ASSERT_EQ(client.Introduce(device_), std::nullopt);
  const auto given = [&] {
    client.Send(hop::CheckIn{});
    const auto assignment = client.Await<hop::Assignment>();
    return assignment && !assignment->publication.empty();
  };
  EXPECT_TRUE(given());
  EXPECT_FALSE(given());
  server->Publish(Bytes(1'000, 2), 2, 1);
  EXPECT_TRUE(given());
  world_.clock.Advance(HopServer::Options().publication_again);
  EXPECT_TRUE(given());
}

// Numbers begin again after a fast-forward attack was mended by a new root.
TEST_F(HopLimitsTest, APublicationOfANewerRootIsNewerWhateverItsNumber) {
  TestServer server(world_, Role::kGateway, "gateway-1");
  server->Publish(Bytes(1'000, 1), 5, 2);
  RawClient client(world_, server, device_);
  ASSERT_EQ(client.Introduce(device_), std::nullopt);
  const auto given = [&](uint64_t root, uint64_t number) {
    world_.clock.Advance(HopServer::Options().publication_again);
    hop::CheckIn held;
    held.root_version = root;
    held.publication_number = number;
    client.Send(held);
    const auto assignment = client.Await<hop::Assignment>();
    return assignment && !assignment->publication.empty();
  };
  EXPECT_TRUE(given(1, 1'000'000));
  EXPECT_TRUE(given(2, 4));
  EXPECT_FALSE(given(2, 5));
  EXPECT_FALSE(given(3, 1));
}

}  // namespace
}  // namespace tributary::limits_test

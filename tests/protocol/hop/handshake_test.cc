#include <gtest/gtest.h>

#include "tests/protocol/hop/hop_fixture.h"

namespace tributary::handshake_test {
namespace {

class HandshakeTest : public ::testing::Test {
 protected:
  HopWorld world_;
  TestServer server_{world_, Role::kGateway, "gateway-1"};
  Identity device_ = world_.fleet.Issue(Role::kDevice, "device-1");
};

TEST_F(HandshakeTest, AMemberIsWelcomed) {
  RawClient client(world_, server_, device_);
  EXPECT_EQ(client.Introduce(device_), std::nullopt);
  EXPECT_EQ(server_->counts().sessions, 1u);
  EXPECT_EQ(server_->counts().handshakes, 1u);
  EXPECT_TRUE(server_->counts().refused.empty());
}

TEST_F(HandshakeTest, EveryRoleThatIsAClientIsWelcomedAndTheOthersAreNot) {
  for (const Role role : {Role::kDevice, Role::kEvaluator, Role::kGateway}) {
    const Identity identity = world_.fleet.Issue(role, "somebody");
    EXPECT_EQ(RawClient(world_, server_, identity).Introduce(identity), std::nullopt) << RoleName(role);
  }
  const Identity aggregator = world_.fleet.Issue(Role::kAggregator, "aggregator");
  EXPECT_EQ(RawClient(world_, server_, aggregator).Introduce(aggregator), Code::kWrongRole);
  EXPECT_EQ(server_.Refused(Code::kWrongRole), 1u);
}

TEST_F(HandshakeTest, ACertificateOfAnotherFleetIsRefused) {
  const TestFleet other;
  const Identity stranger = other.Issue(Role::kDevice, "device-1");
  EXPECT_EQ(RawClient(world_, server_, stranger).Introduce(stranger), Code::kUnknownCertificate);
  EXPECT_EQ(server_.Refused(Code::kUnknownCertificate), 1u);
  EXPECT_EQ(server_->counts().sessions, 0u);
}

TEST_F(HandshakeTest, AnExpiredCertificateIsRefused) {
  const Identity expired = world_.fleet.IssueFor(Role::kDevice, "device-2", kTestStart, Millis(1'000));
  world_.clock.Advance(Millis(2'000));
  EXPECT_EQ(RawClient(world_, server_, expired).Introduce(expired), Code::kExpiredCertificate);
  EXPECT_EQ(server_.Refused(Code::kExpiredCertificate), 1u);
}

TEST_F(HandshakeTest, AStolenCertificateIsOfNoUseWithoutTheConnectionKey) {
  const CurveKeyPair own = GenerateCurveKeyPair();
  EXPECT_EQ(RawClient(world_, server_, own.secret).Introduce(device_), Code::kWrongIdentity);
  EXPECT_EQ(server_.Refused(Code::kWrongIdentity), 1u);
  EXPECT_EQ(server_->counts().sessions, 0u);
}

TEST_F(HandshakeTest, AStolenConnectionKeyIsOfNoUseWithoutTheSigningKey) {
  RawClient client(world_, server_, device_);
  const auto challenge = client.Greet();
  ASSERT_TRUE(challenge);
  const SigningKey own = SigningKey::Generate();
  client.Send(hop::Proof{device_.chain, own.Sign(client.Transcript(*challenge))});
  EXPECT_EQ(client.AwaitRefused(), Code::kBadSignature);
  EXPECT_EQ(server_.Refused(Code::kBadSignature), 1u);
}

TEST_F(HandshakeTest, AProofToAnEarlierNonceIsRefused) {
  RawClient first(world_, server_, device_);
  const auto challenge = first.Greet();
  ASSERT_TRUE(challenge);
  const hop::Proof proof{device_.chain, device_.key.Sign(first.Transcript(*challenge))};
  first.Send(proof);
  ASSERT_TRUE(first.Await<hop::Welcome>());

  RawClient second(world_, server_, device_);
  const auto fresh = second.Greet();
  ASSERT_TRUE(fresh);
  EXPECT_NE(fresh->nonce, challenge->nonce);
  second.Send(proof);
  EXPECT_EQ(second.AwaitRefused(), Code::kBadSignature);
}

TEST_F(HandshakeTest, AMessageBeforeTheProofIsRefused) {
  RawClient client(world_, server_, device_);
  client.Send(hop::CheckIn{});
  EXPECT_EQ(client.AwaitRefused(), Code::kNoSession);
  ASSERT_TRUE(client.Greet());
  client.Send(hop::CheckIn{});
  EXPECT_EQ(client.AwaitRefused(), Code::kNoSession);
  EXPECT_TRUE(server_.check_ins.empty());
  EXPECT_GE(server_.Refused(Code::kNoSession), 1u);
}

TEST_F(HandshakeTest, ASecondHelloEndsTheSessionWhateverItsState) {
  for (const bool proven : {false, true}) {
    RawClient client(world_, server_, device_);
    if (proven) {
      ASSERT_EQ(client.Introduce(device_), std::nullopt);
    } else {
      ASSERT_TRUE(client.Greet());
    }
    client.Send(hop::Greeting(world_.random));
    EXPECT_EQ(client.AwaitRefused(), Code::kMalformed) << proven;
    EXPECT_EQ(server_->counts().sessions, 0u);
    client.Send(hop::CheckIn{});
    EXPECT_EQ(client.AwaitRefused(), Code::kNoSession) << proven;
  }
}

TEST_F(HandshakeTest, ASecondProofClosesTheSession) {
  RawClient client(world_, server_, device_);
  ASSERT_EQ(client.Introduce(device_), std::nullopt);
  client.Send(hop::Proof{device_.chain, Bytes(64)});
  EXPECT_EQ(client.AwaitRefused(), Code::kMalformed);
  EXPECT_EQ(server_->counts().sessions, 0u);
}

TEST_F(HandshakeTest, AVersionThatIsNotSpokenIsRefused) {
  RawClient client(world_, server_, device_);
  client.Send(hop::Greeting(world_.random, {hop::kProtocolVersion + 1, 9}));
  EXPECT_EQ(client.AwaitRefused(), Code::kVersionUnsupported);
  client.Send(hop::Hello{1, 1});  // as version 1 said it, without a nonce
  EXPECT_EQ(client.AwaitRefused(), Code::kVersionUnsupported);
  EXPECT_EQ(server_.Refused(Code::kVersionUnsupported), 2u);
  client.Send(hop::Hello{});
  EXPECT_EQ(client.AwaitRefused(), Code::kMalformed);
  const auto challenge = client.Greet({0, 9});  // a newer client that still speaks this one
  ASSERT_TRUE(challenge);
  EXPECT_EQ(challenge->version, hop::kProtocolVersion);
}

TEST_F(HandshakeTest, WhoeverSendsNonsenseIsClosedAndTheOthersGoOn) {
  const Identity honest_identity = world_.fleet.Issue(Role::kDevice, "honest");
  RawClient honest(world_, server_, honest_identity);
  ASSERT_EQ(honest.Introduce(honest_identity), std::nullopt);
  const Bytes chunk(100);
  const std::vector<std::function<void(RawClient&)>> nonsense = {
      [](RawClient& c) { c.SendBytes(AsBytes("GET / HTTP/1.1\r\n\r\n")); },
      [](RawClient& c) { c.SendBytes(Bytes(64, 0xff)); },
      [](RawClient& c) {
        c.Send(hop::Welcome{{1}, TestDevice("me")});
      },
      [](RawClient& c) { c.Send(hop::Credit{1'000'000}); },
      [&](RawClient& c) { c.Send(hop::CheckIn{}, chunk); },
      [](RawClient& c) { c.Send(hop::Offer{Bytes(100)}); },
  };
  for (size_t i = 0; i < nonsense.size(); ++i) {
    RawClient faulty(world_, server_, device_);
    ASSERT_EQ(faulty.Introduce(device_), std::nullopt);
    ASSERT_EQ(server_->counts().sessions, 2u);
    nonsense[i](faulty);
    EXPECT_EQ(faulty.AwaitRefused(), Code::kMalformed) << i;
    EXPECT_EQ(server_->counts().sessions, 1u) << i;
    EXPECT_EQ(server_.Refused(Code::kMalformed), i + 1) << i;
    honest.Send(hop::CheckIn{});
    EXPECT_TRUE(honest.Await<hop::Assignment>()) << i;
  }
}

TEST_F(HandshakeTest, AMemberHasOneSession) {
  RawClient first(world_, server_, device_);
  ASSERT_EQ(first.Introduce(device_), std::nullopt);
  RawClient second(world_, server_, device_);
  ASSERT_EQ(second.Introduce(device_), std::nullopt);
  EXPECT_EQ(server_->counts().sessions, 1u);
  EXPECT_EQ(first.AwaitRefused(), Code::kIdentityTwice);
  second.Send(hop::CheckIn{});
  EXPECT_TRUE(second.Await<hop::Assignment>());
}

TEST_F(HandshakeTest, TwoProgramsOfOneIdentityAreNamedAndOneThatReconnectsIsNot) {
  std::vector<std::unique_ptr<RawClient>> programs;
  const auto connect = [&] {
    programs.push_back(std::make_unique<RawClient>(world_, server_, device_));
    ASSERT_EQ(programs.back()->Introduce(device_), std::nullopt);
  };
  for (int i = 0; i < 20; ++i) {
    connect();
    world_.clock.Advance(Millis(60'000));
  }
  EXPECT_TRUE(server_.twice.empty());
  for (int i = 0; i < 8; ++i) {
    connect();
    world_.clock.Advance(Millis(1'000));
  }
  EXPECT_EQ(server_.twice, std::vector<DeviceId>{device_.subject.id});
  EXPECT_EQ(server_->counts().identity_twice, 1u);
}

TEST_F(HandshakeTest, WhoeverDoesNotProveHimselfInTimeIsClosed) {
  RawClient client(world_, server_, device_);
  ASSERT_TRUE(client.Greet());
  world_.clock.Advance(Millis(12'000));
  EXPECT_EQ(client.AwaitRefused(), Code::kTimeout);
}

TEST_F(HandshakeTest, NoMoreSessionsThanAllowed) {
  HopServer::Options options;
  options.max_sessions = 1;
  TestServer small(world_, Role::kGateway, "gateway-2", options);
  RawClient first(world_, small, device_);
  ASSERT_EQ(first.Introduce(device_), std::nullopt);
  const Identity other = world_.fleet.Issue(Role::kDevice, "device-2");
  RawClient second(world_, small, other);
  second.Send(hop::Greeting(world_.random));
  const auto refused = second.Await<hop::Refused>();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->refusal.code, Code::kBusy);
  EXPECT_GT(refused->refusal.retry.max, Millis(0));  // it says when to come back
  first.Send(hop::Goodbye{});
  ASSERT_TRUE(world_.RunUntil([&] { return small->counts().sessions == 0; }));
  EXPECT_EQ(second.Introduce(other), std::nullopt);
}

// ---- the client's own checks

TEST_F(HandshakeTest, AClientDoesNotTrustAServerOfAnotherRole) {
  TestServer fake(world_, Role::kDevice, "device-9");
  TestSender sender(world_, device_, world_.folder / "outbox", fake.Address());
  sender.client().Start();
  ASSERT_TRUE(world_.RunUntil([&] { return sender.client().last_problem().code == Code::kWrongRole; }));
  EXPECT_FALSE(sender.client().up());
  EXPECT_EQ(fake->counts().handshakes, 0u);
}

TEST_F(HandshakeTest, AClientSaysWhyItCannotConnectAndTriesAgain) {
  HopClient::Options nowhere = server_.Address();
  nowhere.endpoint = "nonsense";
  TestSender sender(world_, device_, world_.folder / "outbox", nowhere);
  sender.client().Start();
  world_.Turn();
  EXPECT_EQ(sender.client().last_problem().code, Code::kInvalidArgument);
  EXPECT_NE(sender.client().last_problem().message.find("nonsense"), std::string::npos);
}

TEST_F(HandshakeTest, AClientComesBackAfterTheServerRestarts) {
  TestSender sender(world_, device_, world_.folder / "outbox", server_.Address());
  sender.client().Start();
  ASSERT_TRUE(world_.RunUntil([&] { return sender.client().up(); }));
  server_.Stop();
  server_.Start();
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return server_->counts().sessions == 1 && sender.client().up(); }));
  sender.client().Stop();
  EXPECT_TRUE(world_.RunUntil([&] { return server_->counts().sessions == 0; }));
}

TEST_F(HandshakeTest, AClientThatIsRefusedForGoodAsksAgainSlowly) {
  const TestFleet other;
  const Identity stranger = other.Issue(Role::kDevice, "device-1");
  // Its own anchor is the other fleet's, so that it is the server who refuses.
  Identity mixed{stranger.subject, world_.fleet.anchor(), stranger.chain, SigningKey::Generate(),
                 SecretBytes::CopyOf(stranger.curve_secret.RevealForUse())};
  TestSender sender(world_, mixed, world_.folder / "outbox", server_.Address());
  sender.client().Start();
  ASSERT_TRUE(world_.RunUntil([&] { return server_.Refused(Code::kUnknownCertificate) == 1; }));
  ASSERT_TRUE(world_.RunUntil([&] { return sender.client().last_problem().code == Code::kUnknownCertificate; }));
  world_.clock.Advance(Millis(29'000));
  for (int i = 0; i < 20; ++i) world_.Turn();
  EXPECT_EQ(server_.Refused(Code::kUnknownCertificate), 1u);
  world_.clock.Advance(Millis(1'001));
  EXPECT_TRUE(world_.RunUntil([&] { return server_.Refused(Code::kUnknownCertificate) == 2; }));
}

}  // namespace
}  // namespace tributary::handshake_test

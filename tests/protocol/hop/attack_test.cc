#include <utility>

#include <gtest/gtest.h>

#include "protocol/hop/handshake.h"
#include "protocol/trust/identity/revocation_list.h"
#include "tests/protocol/hop/hop_fixture.h"

// Attackers at the handshake: each has stolen or recorded something, and gets no session by it.
namespace tributary::hop_attack_test {
namespace {

class AttackTest : public ::testing::Test {
 protected:
  // The fleet's CA says that this one is believed no more, and the server has the list.
  void Revoke(const Identity& identity) {
    const auto member = world_.fleet.anchor().Verify(identity.chain, world_.clock.Now());
    ASSERT_TRUE(member) << member.error().ToString();
    RevocationList::Issuer issuer;
    issuer.public_key = world_.fleet.authority().key().public_key();
    issuer.number = ++last_list_;
    issuer.serials = {member->serial};
    RevocationList list;
    list.issuers = {issuer};
    TrustAnchor(server_.identity().anchor).Revoke(list);
  }
  // Whether a client would go on with this challenge after having said that it speaks these versions.
  static Code Judge(hop::VersionRange spoken, const hop::Challenge& challenge) {
    const Status status = hop::CheckChallenge(spoken, challenge);
    return status ? Code{} : status.error().code;
  }

  HopWorld world_;
  TrustAnchor anchor_ = world_.fleet.anchor();
  TestServer server_{world_, Role::kGateway, "gateway-1"};
  Identity device_ = world_.fleet.Issue(Role::kDevice, "device-1");
  uint64_t last_list_ = 0;
};

// A session was recorded, byte for byte, by somebody who has the connection key by now.
TEST_F(AttackTest, AReplayedSessionIsRefused) {
  const hop::Hello hello = hop::Greeting(world_.random);
  Bytes proof;
  {
    RawClient client(world_, server_, device_);
    client.Send(hello);
    const auto challenge = client.Await<hop::Challenge>();
    ASSERT_TRUE(challenge);
    const Bytes transcript =
        hop::ProofTranscript(device_.subject.curve_public_key, server_.identity().subject.curve_public_key,
                             hop::Encode(hello), hop::Encode(*challenge));
    proof = hop::Encode(hop::Proof{device_.chain, device_.key.Sign(transcript)});
    client.SendBytes(proof);
    ASSERT_TRUE(client.Await<hop::Welcome>());
  }
  RawClient thief(world_, server_, device_);
  thief.Send(hello);
  ASSERT_TRUE(thief.Await<hop::Challenge>());
  thief.SendBytes(proof);
  EXPECT_EQ(thief.AwaitRefused(), Code::kBadSignature);
  EXPECT_EQ(server_->counts().handshakes, 1u);
}

// The device itself signs what an attacker between it and the server lays before it: on a connection of the attacker's.
TEST_F(AttackTest, ASessionThatIsMovedToAnotherConnectionIsRefused) {
  const CurveKeyPair attacker = GenerateCurveKeyPair();
  RawClient moved(world_, server_, attacker.secret);
  const auto challenge = moved.Greet();
  ASSERT_TRUE(challenge);
  moved.Send(hop::Proof{device_.chain, device_.key.Sign(moved.Transcript(*challenge))});
  EXPECT_EQ(moved.AwaitRefused(), Code::kWrongIdentity);
}

// A gateway that is not honest passes on the challenge of another server, to have the device's session there.
TEST_F(AttackTest, AProofMadeForAnotherServerIsRefused) {
  const Identity dishonest = world_.fleet.Issue(Role::kGateway, "gateway-2");
  RawClient passed_on(world_, server_, device_);  // it has even the device's connection key
  const hop::Hello hello = hop::Greeting(world_.random);
  passed_on.Send(hello);
  const auto challenge = passed_on.Await<hop::Challenge>();
  ASSERT_TRUE(challenge);
  // The device would look whose certificate that is …
  EXPECT_EQ(
      hop::VerifyServer(anchor_, challenge->chain, dishonest.subject.curve_public_key, world_.clock.Now()).error().code,
      Code::kWrongIdentity);
  // … and if it did not, it would sign the key that it is connected to.
  const Bytes transcript = hop::ProofTranscript(device_.subject.curve_public_key, dishonest.subject.curve_public_key,
                                                hop::Encode(hello), hop::Encode(*challenge));
  passed_on.Send(hop::Proof{device_.chain, device_.key.Sign(transcript)});
  EXPECT_EQ(passed_on.AwaitRefused(), Code::kBadSignature);
}

TEST_F(AttackTest, ARevokedMemberIsRefused) {
  Revoke(device_);
  EXPECT_EQ(RawClient(world_, server_, device_).Introduce(device_), Code::kRevokedCertificate);
  EXPECT_EQ(server_.Refused(Code::kRevokedCertificate), 1u);
  EXPECT_EQ(server_->counts().sessions, 0u);
}

// As soon as the list arrives, which is with the publication.
TEST_F(AttackTest, TheSessionOfARevokedMemberEndsAndTheOthersGoOn) {
  const Identity other_identity = world_.fleet.Issue(Role::kDevice, "device-2");
  RawClient client(world_, server_, device_);
  RawClient other(world_, server_, other_identity);
  ASSERT_EQ(client.Introduce(device_), std::nullopt);
  ASSERT_EQ(other.Introduce(other_identity), std::nullopt);
  Revoke(device_);
  server_->Publish(ToBytes(AsBytes("a publication")), 1, 1);
  EXPECT_EQ(client.AwaitRefused(), Code::kRevokedCertificate);
  EXPECT_EQ(server_->counts().sessions, 1u);
  other.Send(hop::CheckIn{});
  EXPECT_TRUE(other.Await<hop::Assignment>());
}

TEST_F(AttackTest, ASessionEndsWhenTheCertificateDoes) {
  const Identity brief = world_.fleet.IssueFor(Role::kDevice, "device-3", kTestStart, Millis(60'000));
  RawClient client(world_, server_, brief);
  ASSERT_EQ(client.Introduce(brief), std::nullopt);
  world_.clock.Advance(Millis(40'000));
  for (int i = 0; i < 20; ++i) world_.Turn();
  EXPECT_EQ(server_->counts().sessions, 1u);
  world_.clock.Advance(Millis(60'000));
  EXPECT_EQ(client.AwaitRefused(), Code::kExpiredCertificate);
  EXPECT_EQ(server_->counts().sessions, 0u);
}

// ---- versions: both ends speak the present one and the next, and somebody in between wants the older

class DowngradeTest : public AttackTest {
 protected:
  static HopServer::Options Both() {
    HopServer::Options options;
    options.versions = kBoth;
    return options;
  }
  static constexpr hop::VersionRange kBoth{hop::kProtocolVersion, hop::kProtocolVersion + 1};
  static constexpr hop::VersionRange kOld{hop::kProtocolVersion, hop::kProtocolVersion};
  TestServer both_{world_, Role::kGateway, "gateway-3", Both()};
};

TEST_F(DowngradeTest, TheHighestThatBothSpeakIsSpoken) {
  RawClient client(world_, both_, device_);
  const auto challenge = client.Greet(kBoth);
  ASSERT_TRUE(challenge);
  EXPECT_EQ(challenge->version, kBoth.max);
  EXPECT_EQ(Judge(kBoth, *challenge), Code{});
  client.Send(hop::Proof{device_.chain, device_.key.Sign(client.Transcript(*challenge))});
  EXPECT_TRUE(client.Await<hop::Welcome>());

  RawClient older(world_, both_, device_);
  const auto old_challenge = older.Greet(kOld);
  ASSERT_TRUE(old_challenge);
  EXPECT_EQ(old_challenge->version, kOld.max);
  EXPECT_EQ(Judge(kOld, *old_challenge), Code{});
}

// The hello was changed on its way: the client offered both versions.
TEST_F(DowngradeTest, AClientRefusesAnOlderVersionThanBothSpeak) {
  RawClient between(world_, both_, device_);
  const auto challenge = between.Greet(kOld);
  ASSERT_TRUE(challenge);
  EXPECT_EQ(challenge->version, kOld.max);
  EXPECT_EQ(Judge(kBoth, *challenge), Code::kVersionUnsupported);
}

// The challenge was changed as well, so that the client believes it: it signs what it sent and saw.
TEST_F(DowngradeTest, AServerRefusesAProofOfAnotherGreetingThanItHad) {
  const hop::Hello said{kBoth.min, kBoth.max, world_.random.TakeBytes(32)};
  hop::Hello came = said;
  came.max_version = kOld.max;
  RawClient between(world_, both_, device_);
  between.Send(came);
  const auto challenge = between.Await<hop::Challenge>();
  ASSERT_TRUE(challenge);
  hop::Challenge shown = *challenge;
  shown.max_version = kOld.max;
  ASSERT_EQ(Judge(kBoth, shown), Code{});
  const auto prove = [&](const hop::Hello& hello, const hop::Challenge& seen) {
    const Bytes transcript =
        hop::ProofTranscript(device_.subject.curve_public_key, both_.identity().subject.curve_public_key,
                             hop::Encode(hello), hop::Encode(seen));
    return hop::Proof{device_.chain, device_.key.Sign(transcript)};
  };
  between.Send(prove(said, shown));
  EXPECT_EQ(between.AwaitRefused(), Code::kBadSignature);

  // Each of the two alone is enough to give it away.
  for (const bool hello_changed : {false, true}) {
    RawClient again(world_, both_, device_);
    again.Send(came);
    const auto fresh = again.Await<hop::Challenge>();
    ASSERT_TRUE(fresh);
    hop::Challenge changed = *fresh;
    changed.max_version = kOld.max;
    again.Send(hello_changed ? prove(said, *fresh) : prove(came, changed));
    EXPECT_EQ(again.AwaitRefused(), Code::kBadSignature) << hello_changed;
  }
  EXPECT_EQ(both_->counts().handshakes, 0u);
}

TEST_F(DowngradeTest, AVersionThatNobodyOfferedIsRefused) {
  hop::Challenge challenge{kBoth.max, Bytes(32), {}, kBoth.min, kBoth.max};
  EXPECT_EQ(Judge(kOld, challenge), Code::kVersionUnsupported);  // above what the client speaks
  challenge = {kOld.min - 1, Bytes(32), {}, kOld.min - 1, kOld.min - 1};
  EXPECT_EQ(Judge(kOld, challenge), Code::kVersionUnsupported);  // below
  challenge = {kOld.max, Bytes(32), {}, kBoth.max, kBoth.max};
  EXPECT_EQ(Judge(kBoth, challenge), Code::kVersionUnsupported);  // not what the server itself says it speaks
}

// ---- roles past the handshake

TEST_F(AttackTest, ADeviceCannotActAsAGateway) {
  const Identity evaluator = world_.fleet.Issue(Role::kEvaluator, "evaluator-1");
  const Identity other = world_.fleet.Issue(Role::kDevice, "device-2");
  const Bytes envelope = MakeSealed(world_, other, 100).envelope;
  for (const Identity* identity : {&std::as_const(device_), &evaluator}) {
    RawClient client(world_, server_, *identity);
    ASSERT_EQ(client.Introduce(*identity), std::nullopt);
    client.Send(hop::Offer{envelope});  // somebody else's upload
    const auto refuse = client.Await<hop::Refuse>();
    ASSERT_TRUE(refuse);
    EXPECT_EQ(refuse->refusal.code, Code::kWrongIdentity);
    hop::CheckIn check_in;
    check_in.reports.resize(1);
    check_in.reports[0].gateway = identity->subject.id;
    client.Send(check_in);
    EXPECT_EQ(client.AwaitRefused(), Code::kMalformed);
  }
  EXPECT_TRUE(server_.sink.complete.empty());
  EXPECT_TRUE(server_.check_ins.empty());
}

TEST_F(AttackTest, AnEvaluatorCannotContributeAnUpdate) {
  const Identity evaluator = world_.fleet.Issue(Role::kEvaluator, "evaluator-1");
  RawClient client(world_, server_, evaluator);
  ASSERT_EQ(client.Introduce(evaluator), std::nullopt);
  client.Send(hop::Offer{MakeSealed(world_, evaluator, 100).envelope});
  const auto refuse = client.Await<hop::Refuse>();
  ASSERT_TRUE(refuse);
  EXPECT_EQ(refuse->refusal.code, Code::kWrongRole);
}

}  // namespace
}  // namespace tributary::hop_attack_test

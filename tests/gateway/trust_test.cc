#include <filesystem>

#include "gateway/accept/key_rotation.h"
#include "protocol/bundle/bundle_format.h"
#include "protocol/hop/client/applicant_client.h"
#include "protocol/trust/identity/revocation_list.h"
#include "protocol/trust/seal/secret.h"
#include "tests/gateway/gateway_fixture.h"
#include "tests/protocol/hop/fake_desk.h"
#include "tests/support/must.h"

// Who is a member, as far as a gateway can know.
namespace tributary::trust_test {
namespace {

constexpr Millis kDay{24 * 3600 * 1000};

class TrustTest : public GatewayTest {
 protected:
  // Publication `number`, in which the certificates of `revoked` are believed no more.
  Bytes PublicationRevoking(uint64_t number, const std::vector<const Identity*>& revoked) {
    Publication publication = PublicationOf(world_, MakePublication(world_, upstream_.blobs, number, ModelVersion{3}));
    std::set<std::string> serials;
    for (const Identity* member : revoked)
      serials.insert(Must(world_.fleet.anchor().Verify(member->chain, world_.clock.Now())).serial);
    publication.revocations = RevocationsToPem(
        {}, Must(SignRevocations(world_.fleet.authority(), number, serials, world_.clock.Now(), 30 * kDay)));
    return world_.fleet.Publish(publication);
  }
  bool Holds(uint64_t number) {
    const auto kept =
        ReadFile(RealFileSystem(), options_.data_dir / "relay" / "publication.bin", limits::kPublicationBytes);
    return kept && PublicationOf(world_, *kept).number == number;
  }

  Identity good_ = world_.fleet.Issue(Role::kDevice, "device-good");
  Identity bad_ = world_.fleet.Issue(Role::kDevice, "device-bad");
};

TEST_F(TrustTest, ARevokedDeviceIsPutOutAtOnceAndStaysOutWithNoUplink) {
  {
    const Running gateway(Open());
    upstream_->Publish(PublicationRevoking(1, {}), 1, 1);
    TestSender bad(world_, bad_, world_.folder / "outbox-1", Address(*gateway));
    bad.client().Start();
    ASSERT_TRUE(world_.RunUntilWithTime([&] { return bad.client().up() && Holds(1); }));
    upstream_->Publish(PublicationRevoking(2, {&bad_}), 2, 1);
    ASSERT_TRUE(world_.RunUntilWithTime([&] { return bad.client().last_problem().code == Code::kRevokedCertificate; }));
  }
  upstream_.Stop();
  const Running gateway(Open());  // it knows it from its own disk
  TestSender bad(world_, bad_, world_.folder / "outbox-2", Address(*gateway));
  TestSender good(world_, good_, world_.folder / "outbox-3", Address(*gateway));
  bad.client().Start();
  good.client().Start();
  good.Put(MakeSealed(world_, good_, 5'000));
  ASSERT_TRUE(world_.RunUntilWithTime(
      [&] { return bad.client().last_problem().code == Code::kRevokedCertificate && good.gone.size() == 1; }));
  EXPECT_EQ(good.gone[0].second, std::nullopt);
}

TEST_F(TrustTest, ACarriedPublicationRevokesAtAGatewayThatNeverHasAnUplink) {
  const Running gateway(Open());
  upstream_->Publish(PublicationRevoking(1, {}), 1, 1);
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return Holds(1); }));
  upstream_.Stop();
  TestSender bad(world_, bad_, world_.folder / "outbox-1", Address(*gateway));
  bad.client().Start();
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return bad.client().up(); }));
  // The blobs are those that it has.
  const Path inbox = options_.data_dir / "inbox";
  Must(RealFileSystem().CreateFolders(inbox));
  Must(WriteFileAtomically(RealFileSystem(), inbox / bundle::kPublication, PublicationRevoking(2, {&bad_})));
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return bad.client().last_problem().code == Code::kRevokedCertificate; }));
  EXPECT_TRUE(Holds(2));
}

TEST_F(TrustTest, AnApplicantEnrolsThroughItAndIsToldToWaitWhileThereIsNoUplink) {
  FakeDesk desk;
  upstream_.Stop();
  upstream_.desk = &desk;
  const Running gateway(Open());
  std::vector<EnrolmentAnswer> ended;
  std::vector<Code> waits;
  ApplicantClient::Options options;
  options.endpoint = Address(*gateway).endpoint;
  options.server_key = Address(*gateway).server_key;
  ApplicantClient applicant({world_.loop, world_.clock, world_.random, world_.fleet.anchor()}, options,
                            ToBytes(AsBytes("a sealed request")),
                            {[&](const EnrolmentAnswer& answer) { ended.push_back(answer); },
                             [&](const Error& why, Millis) { waits.push_back(why.code); }});
  applicant.Start();
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !waits.empty(); }));
  desk.says = [&] { return EnrolmentAnswer{EnrolmentAnswer::Kind::kIssued, good_.chain, {}}; };
  upstream_.Start();
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !ended.empty(); }, Millis(20), 20'000));
  EXPECT_EQ(ended[0].chain, good_.chain);
  EXPECT_EQ(desk.came.back(), ToBytes(AsBytes("a sealed request")));
}

TEST_F(TrustTest, ItRenewsItsOwnCertificateAndServesWithTheNewOne) {
  FakeDesk desk;
  options_.identity_dir = world_.folder / "short-lived";
  Must(IssueIdentity(world_.fleet.authority(), {TestDevice("gateway-1"), Role::kGateway, "", {}}, options_.identity_dir,
                     kTestStart, 6 * kDay, world_.fleet.anchor().publication_root()));
  const Identity own = Must(LoadIdentity(options_.identity_dir, world_.clock.Now()));
  Bytes issued;
  desk.says = [&] {
    issued =
        Must(world_.fleet.authority().Issue(own.subject, own.key.public_key(), world_.clock.Now() + -kDay, 20 * kDay))
            .der;
    return EnrolmentAnswer{EnrolmentAnswer::Kind::kIssued, {issued}, {}};
  };
  upstream_.Stop();
  upstream_.desk = &desk;
  upstream_.Start();
  world_.clock.Advance(5 * kDay);  // past two thirds
  Publication publication = PublicationOf(world_, MakePublication(world_, upstream_.blobs, 1, ModelVersion{3}));
  publication.created = world_.clock.Now();
  publication.expires = world_.clock.Now() + kDay;
  const Running gateway(Open());
  upstream_->Publish(world_.fleet.Publish(publication), 1, 1);
  const auto kept = [&] { return Must(LoadIdentity(options_.identity_dir, world_.clock.Now())).chain.at(0); };
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !issued.empty() && kept() == issued; }, Millis(20), 20'000));
  // The old one is over; who comes now sees the new one.
  world_.clock.Advance(3 * kDay);
  TestSender sender(world_, good_, world_.folder / "outbox", Address(*gateway));
  sender.client().Start();
  EXPECT_TRUE(world_.RunUntilWithTime([&] { return sender.client().up(); }));
}

TEST_F(TrustTest, ItsConnectionKeyIsReplacedAndWhoWasToldFindsIt) {
  FakeDesk desk;
  const Identity own = Must(LoadIdentity(options_.identity_dir, world_.clock.Now()));
  const Path next = options_.identity_dir / "next";
  Must(KeyRotation::Begin(RealFileSystem(), options_.identity_dir));
  EXPECT_EQ(KeyRotation::Begin(RealFileSystem(), options_.identity_dir).error().code, Code::kConflict);
  const Bytes next_key = Must(CurvePublicKeyOf(Must(FromHexLine(Must(ReadSecretFile(next / "curve.key")), 32))));
  desk.says = [&] {
    Subject subject = own.subject;
    subject.curve_public_key = next_key;
    return EnrolmentAnswer{
        EnrolmentAnswer::Kind::kIssued,
        {Must(world_.fleet.authority().Issue(subject, own.key.public_key(), world_.clock.Now(), 25 * kDay)).der},
        {}};
  };
  upstream_.Stop();
  upstream_.desk = &desk;
  upstream_.Start();
  options_.overlap_days = 2;
  HopClient::Options address;
  std::vector<Bytes> learned;
  {
    Running gateway(Open());
    upstream_->Publish(PublicationRevoking(1, {}), 1, 1);
    address = Address(*gateway);
    HopClient client({world_.loop, world_.clock, world_.random, good_}, address,
                     {.describe_self = [] { return hop::CheckIn(); },
                      .on_publication = [](ByteView) {},
                      .on_server_key = [&](const Bytes& key, const VerifiedIdentity&) { learned.push_back(key); }});
    client.Start();
    ASSERT_TRUE(world_.RunUntilWithTime([&] { return !learned.empty(); }));
    EXPECT_EQ(learned[0], next_key);
    // When its time has come the gateway ends by itself.
    world_.clock.Advance(2 * kDay);
    ASSERT_TRUE(world_.RunUntilWithTime([&] { return client.last_problem().code == Code::kShuttingDown; }));
  }
  options_.hop.endpoint = address.endpoint;
  const Running gateway(Open());
  EXPECT_EQ(Must(LoadIdentity(options_.identity_dir, world_.clock.Now())).subject.curve_public_key, next_key);
  EXPECT_FALSE(std::filesystem::exists(next / "curve.key"));
  address.server_keys = learned;
  HopClient client({world_.loop, world_.clock, world_.random, good_}, address,
                   {.describe_self = [] { return hop::CheckIn(); }, .on_publication = [](ByteView) {}});
  client.Start();
  EXPECT_TRUE(world_.RunUntilWithTime([&] { return client.up(); }, Millis(20), 20'000));
}

TEST_F(TrustTest, AKillWhileItChangesKeysIsMadeGoodByTheNextStart) {
  const Path next = options_.identity_dir / "next";
  Must(KeyRotation::Begin(RealFileSystem(), options_.identity_dir));
  const Identity own = Must(LoadIdentity(options_.identity_dir, world_.clock.Now()));
  Subject subject = own.subject;
  subject.curve_public_key = Must(CurvePublicKeyOf(Must(FromHexLine(Must(ReadSecretFile(next / "curve.key")), 32))));
  const auto issued = Must(world_.fleet.authority().Issue(subject, own.key.public_key(), kTestStart, 25 * kDay));
  Must(WriteFileAtomically(RealFileSystem(), next / "switch-at",
                           AsBytes(std::to_string(kTestStart.unix_millis + 1'000) + "\n")));
  Must(WriteFileAtomically(RealFileSystem(), next / "cert.pem", AsBytes(CertificateToPem(issued))));
  EXPECT_FALSE(Must(KeyRotation::FinishIfDue(RealFileSystem(), options_.identity_dir, kTestStart)));
  // As a kill between the two files leaves it: the new key beside the old certificate.
  std::filesystem::copy_file(next / "curve.key", options_.identity_dir / "curve.key",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_FALSE(LoadIdentity(options_.identity_dir, kTestStart));
  world_.clock.Advance(Millis(1'000));
  EXPECT_EQ(OutcomeOfOpening(), "ok");
  EXPECT_EQ(Must(LoadIdentity(options_.identity_dir, world_.clock.Now())).subject.curve_public_key,
            subject.curve_public_key);
}

}  // namespace
}  // namespace tributary::trust_test

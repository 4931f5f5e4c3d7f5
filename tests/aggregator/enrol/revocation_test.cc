#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "protocol/trust/identity/identity.h"
#include "protocol/trust/identity/revocation_list.h"
#include "tests/aggregator/enrol/enrol_fixture.h"

namespace tributary::enrol_revocation_test {
namespace {

class Revocation : public testing::Test, protected EnrolFixture {
 protected:
  RevocationList List() {
    // As a gateway reads it: with an anchor of its own.
    return Must(ReadRevocations(enrolment().Revocations(), fleet.anchor()));
  }
};

TEST_F(Revocation, NamesEveryCertificateOfTheMember) {
  const Applicant applicant;
  const auto first = Enrolled(applicant, "d1", MakeToken("spring"));
  const auto second =
      Decide(Must(SealRenewal(IdentityOf(applicant, first), target(), clock.Now(), GenerateCurveKeyPair().public_key)))
          .chain;
  const auto other = Enrolled(Applicant(), "d2", MakeToken("summer"));
  EXPECT_EQ(enrolment().Revocations(), "") << "nobody was revoked yet";
  const EnrolledMember member = Must(enrolment().operators().Revoke(TestDevice("d1"), "stolen", "anna"));
  EXPECT_EQ(member.state, EnrolmentState::kRevoked);
  EXPECT_EQ(member.reason, "stolen (anna)");
  EXPECT_EQ(announced, 1);
  for (const auto& chain : {first, second}) EXPECT_EQ(Verify(chain).error().code, Code::kRevokedCertificate);
  EXPECT_TRUE(Verify(other));
  TrustAnchor gateway = fleet.anchor();
  gateway.Revoke(List());
  EXPECT_EQ(gateway.Verify(first, clock.Now()).error().code, Code::kRevokedCertificate);
  EXPECT_TRUE(gateway.Verify(other, clock.Now()));
}

TEST_F(Revocation, IsBelievedAfterARestart) {
  const auto chain = Enrolled(Applicant(), "d1", MakeToken("spring"));
  Must(enrolment().operators().Revoke(TestDevice("d1"), "stolen", "anna"));
  const std::string before = enrolment().Revocations();
  Reopen();
  EXPECT_EQ(enrolment().Revocations(), before);
  EXPECT_EQ(Verify(chain).error().code, Code::kRevokedCertificate);
}

TEST_F(Revocation, HappensOnce) {
  Enrolled(Applicant(), "d1", MakeToken("spring"));
  Must(enrolment().operators().Revoke(TestDevice("d1"), "stolen", "anna"));
  const std::string before = enrolment().Revocations();
  EXPECT_EQ(Must(enrolment().operators().Revoke(TestDevice("d1"), "again", "ben")).reason, "stolen (anna)");
  EXPECT_EQ(enrolment().Revocations(), before);
}

TEST_F(Revocation, NumbersGrowOverRestarts) {
  const std::string secret = MakeToken("spring", 9);
  uint64_t number = 0;
  for (const char* id : {"d1", "d2", "d3"}) {
    Enrolled(Applicant(), id, secret);
    Must(enrolment().operators().Revoke(TestDevice(id), "", ""));
    EXPECT_EQ(List().issuers.at(0).number, ++number);
    Reopen();
  }
  EXPECT_EQ(List().issuers.at(0).serials.size(), 3u);
}

TEST_F(Revocation, IsRenewedBeforeItEndsAndForgetsWhatEndedLongAgo) {
  // The certificate has ten days. Its issuer must live longer than this test.
  Enrolled(Applicant(), "d1", MakeToken("spring"));
  Must(enrolment().operators().Revoke(TestDevice("d1"), "", ""));
  for (int day = 1; day <= 28; ++day) {
    clock.Advance(std::chrono::hours(24));
    enrolment().Tick();
  }
  EXPECT_EQ(List().issuers.at(0).number, 2u) << "once, when a third of thirty days was left";
  EXPECT_EQ(List().issuers.at(0).serials.size(), 1u);
  for (int day = 29; day <= 45; ++day) {
    clock.Advance(std::chrono::hours(24));
    enrolment().Tick();
  }
  EXPECT_EQ(List().issuers.at(0).number, 3u);
  EXPECT_TRUE(List().issuers.at(0).serials.empty()) << "refused for its end anyhow";
  EXPECT_EQ(announced, 3);
}

TEST_F(Revocation, CertificatesByTheCaNeedTheCasList) {
  const Identity hand = fleet.Issue(Role::kDevice, "d1");
  enrolment().Saw(Must(anchor.Verify(hand.chain, clock.Now())));
  const EnrolledMember member = Must(enrolment().operators().Revoke(TestDevice("d1"), "stolen", ""));
  EXPECT_NE(member.reason.find("ca_revocations"), std::string::npos) << member.reason;
  const VerifiedIdentity verified = Must(anchor.Verify(hand.chain, clock.Now()));
  // The CA's list, made elsewhere and put beside.
  const Bytes crl = Must(SignRevocations(fleet.authority(), 1, {verified.serial}, clock.Now(), std::chrono::hours(24)));
  std::ofstream(ca_revocations) << RevocationsToPem({}, crl);
  clock.Advance(std::chrono::minutes(1));
  enrolment().Tick();
  EXPECT_EQ(Verify(hand.chain).error().code, Code::kRevokedCertificate);
  EXPECT_EQ(List().issuers.size(), 2u);
  EXPECT_EQ(announced, 2);
  Reopen();
  EXPECT_EQ(Verify(hand.chain).error().code, Code::kRevokedCertificate);
}

TEST_F(Revocation, AFileThatIsNoListChangesNothing) {
  Enrolled(Applicant(), "d1", MakeToken("spring"));
  Must(enrolment().operators().Revoke(TestDevice("d1"), "", ""));
  const std::string before = enrolment().Revocations();
  std::ofstream(ca_revocations) << "dirt";
  clock.Advance(std::chrono::minutes(1));
  enrolment().Tick();
  EXPECT_EQ(enrolment().Revocations(), before);
  const auto opened = EnrolmentOffice::Open(PartsOfIt());
  ASSERT_FALSE(opened) << "a start says so";
  EXPECT_NE(opened.error().message.find("ca-crl.pem"), std::string::npos);
}

TEST_F(Revocation, AnIssuerThatIsRevokedIssuesNothing) {
  const Bytes request = Ask(Applicant(), MakeToken("spring"), "d1");
  const auto chain = Decide(request).chain;
  const VerifiedIdentity member = Must(anchor.Verify(chain, clock.Now()));
  ASSERT_EQ(member.issuers.size(), 1u);
  const Bytes crl =
      Must(SignRevocations(fleet.authority(), 1, {member.issuers[0].serial}, clock.Now(), std::chrono::hours(24)));
  std::ofstream(ca_revocations) << RevocationsToPem({}, crl);
  clock.Advance(std::chrono::minutes(1));
  enrolment().Tick();
  EXPECT_EQ(Verify(chain).error().code, Code::kRevokedCertificate);
  EXPECT_EQ(RefusalOf(Decide(Ask(Applicant(), MakeToken("summer"), "d2"))), Code::kRevokedCertificate);
  EXPECT_EQ(RefusalOf(Decide(request)), Code::kRevokedCertificate) << "an answer that was given before is no use now";
}

TEST_F(Revocation, ASecondCertificateOfARevokedMemberFollows) {
  const CertificateAuthority issuer = Must(LoadAuthority(issuer_dir));
  Enrolled(Applicant(), "d1", MakeToken("spring"));
  Must(enrolment().operators().Revoke(TestDevice("d1"), "stolen", ""));
  // Issued by hand from the same issuer, and unknown until it is shown.
  const Applicant hidden;
  const Subject subject{TestDevice("d1"), Role::kDevice, "phone", hidden.curve.public_key};
  const std::vector<Bytes> chain = {
      Must(issuer.Issue(subject, hidden.key.public_key(), clock.Now(), std::chrono::hours(24))).der,
      issuer.certificate().der};
  enrolment().Saw(Must(Verify(chain)));
  enrolment().Tick();
  EXPECT_EQ(Verify(chain).error().code, Code::kRevokedCertificate);
}

TEST_F(Revocation, MembersAreKnownByBeingHeardOf) {
  const Identity hand = fleet.Issue(Role::kGateway, "g1");
  const VerifiedIdentity verified = Must(anchor.Verify(hand.chain, clock.Now()));
  enrolment().Saw(verified);
  enrolment().Saw(verified);
  enrolment().Tick();
  Reopen();
  const EnrolledMember member = Must(enrolment().operators().Find(TestDevice("g1")));
  EXPECT_EQ(member.state, EnrolmentState::kActive);
  EXPECT_EQ(member.serial, verified.serial);
  EXPECT_EQ(enrolment().counts().members.at(EnrolmentState::kActive), 1u);
}

// The aggregator of before, whose data folder is lost.
TEST_F(Revocation, WhatWasDecidedAfterABackupIsTakenOverFromAPublication) {
  const auto known = Enrolled(Applicant(), "d1", MakeToken("spring"));
  Enrolled(Applicant(), "d2", MakeToken("summer"));
  const TemporaryFolder backup;
  Close();
  std::filesystem::copy(folder.path() / "enrolment.db", backup.path() / "enrolment.db");
  Reopen();
  const auto unknown = Enrolled(Applicant(), "d3", MakeToken("autumn"));
  for (const char* id : {"d1", "d3"}) Must(enrolment().operators().Revoke(TestDevice(id), "stolen", "anna"));
  const std::string held = enrolment().Revocations();
  TrustAnchor gateway = fleet.anchor();
  gateway.Revoke(List());
  const uint64_t number = List().issuers.at(0).number;

  Close();
  for (const char* name : {"enrolment.db", "enrolment.db-wal", "enrolment.db-shm"})
    std::filesystem::remove(folder.path() / name);
  std::filesystem::copy(backup.path() / "enrolment.db", folder.path() / "enrolment.db");
  anchor = fleet.anchor();
  Reopen();
  ASSERT_TRUE(Verify(known)) << "as the backup has it";
  Must(enrolment().TakeOver(held));
  EXPECT_EQ(List().issuers.at(0).number, number + 2) << "one for the list, one for the member";
  for (const auto& chain : {known, unknown}) EXPECT_EQ(Verify(chain).error().code, Code::kRevokedCertificate);
  EXPECT_EQ(Must(enrolment().operators().Find(TestDevice("d1"))).state, EnrolmentState::kRevoked);
  EXPECT_EQ(Must(enrolment().operators().Find(TestDevice("d2"))).state, EnrolmentState::kActive);
  const std::string after = enrolment().Revocations();
  Must(enrolment().TakeOver(held));
  EXPECT_EQ(enrolment().Revocations(), after) << "once is enough";

  // Certificates that are revoked from now on are refused by members that hold the list of before.
  Must(enrolment().operators().Revoke(TestDevice("d2"), "stolen too", "anna"));
  gateway.Revoke(List());
  EXPECT_EQ(List().issuers.at(0).serials.size(), 3u);
  Reopen();
  EXPECT_EQ(List().issuers.at(0).serials.size(), 3u);
  EXPECT_TRUE(gateway.Verify(Enrolled(Applicant(), "d4", MakeToken("winter")), clock.Now()));
}

}  // namespace
}  // namespace tributary::enrol_revocation_test

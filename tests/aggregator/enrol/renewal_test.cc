#include <gtest/gtest.h>

#include "tests/aggregator/enrol/enrol_fixture.h"

namespace tributary::renewal_test {
namespace {

using Kind = EnrolmentAnswer::Kind;

class RenewalTest : public testing::Test, protected EnrolFixture {
 protected:
  RenewalTest() : chain_(Enrolled(applicant_, "d1", MakeToken("spring"))) {}
  Bytes Renewal_(const Identity& identity, ByteView curve = {}) const {
    return Must(SealRenewal(identity, target(), clock.Now(), curve));
  }
  // Signed by `signer` for the certificate of `chain`, asking for `id` and the keys of `wanted`.
  Bytes Forged(const SigningKey& signer, const std::vector<Bytes>& chain, const Applicant& wanted,
               const std::string& id) const {
    EnrolmentRequest request;
    request.certificate_request = Must(MakeCertificateRequest(wanted.key, TestDevice(id), wanted.curve.public_key));
    request.created = clock.Now();
    request.authority = Renewal{chain, signer.Sign(RenewalTranscript(request.certificate_request))};
    return Must(SealEnrolment(request, target()));
  }

  const Applicant applicant_;
  const std::vector<Bytes> chain_;
};

TEST_F(RenewalTest, GivesTheSameMemberALaterEnd) {
  clock.Advance(std::chrono::hours(24 * 7));
  const EnrolmentAnswer answer = Decide(Renewal_(IdentityOf(applicant_, chain_)));
  ASSERT_EQ(answer.kind, Kind::kIssued) << answer.refusal.sentence;
  const VerifiedIdentity before = Must(Verify(chain_)), after = Must(Verify(answer.chain));
  EXPECT_EQ(after.subject.id, before.subject.id);
  EXPECT_EQ(after.subject.device_class, before.subject.device_class);
  EXPECT_EQ(after.public_key, before.public_key);
  EXPECT_GT(after.not_after, before.not_after);
  const EnrolledMember member = Must(enrolment().operators().Find(TestDevice("d1")));
  EXPECT_EQ(member.renewals, 1u);
  EXPECT_EQ(member.serial, after.serial);
}

TEST_F(RenewalTest, OneThatIsFreshIsNotMadeAgain) {
  EXPECT_EQ(Decide(Renewal_(IdentityOf(applicant_, chain_))).chain, chain_);
  EXPECT_EQ(Must(enrolment().operators().Find(TestDevice("d1"))).renewals, 0u);
}

TEST_F(RenewalTest, MayBindTheNextConnectionKey) {
  const CurveKeyPair next = GenerateCurveKeyPair();
  const EnrolmentAnswer answer = Decide(Renewal_(IdentityOf(applicant_, chain_), next.public_key));
  ASSERT_EQ(answer.kind, Kind::kIssued);
  EXPECT_EQ(Must(Verify(answer.chain)).subject.curve_public_key, next.public_key);
  EXPECT_TRUE(Verify(chain_)) << "the present one goes on";
}

TEST_F(RenewalTest, MayBringANewSigningKey) {
  const Applicant next;
  const EnrolmentAnswer answer = Decide(Forged(applicant_.key, chain_, next, "d1"));
  ASSERT_EQ(answer.kind, Kind::kIssued) << answer.refusal.sentence;
  EXPECT_EQ(Must(Verify(answer.chain)).public_key, next.key.public_key());
}

TEST_F(RenewalTest, NeedsTheCertificatesKey) {
  const Applicant thief;
  EXPECT_EQ(RefusalOf(Decide(Forged(thief.key, chain_, thief, "d1"))), Code::kBadSignature);
}

TEST_F(RenewalTest, IsForTheSameIdOnly) {
  EXPECT_EQ(RefusalOf(Decide(Forged(applicant_.key, chain_, applicant_, "d2"))), Code::kWrongIdentity);
}

TEST_F(RenewalTest, NeedsACertificateThatIsBelievedNow) {
  const Identity identity = IdentityOf(applicant_, chain_);
  const TestFleet stranger;
  const Applicant other;
  EXPECT_EQ(RefusalOf(Decide(Forged(other.key, stranger.Issue(Role::kDevice, "d1").chain, other, "d1"))),
            Code::kUnknownCertificate);
  clock.Advance(std::chrono::hours(24 * 11));
  EXPECT_EQ(RefusalOf(Decide(Renewal_(identity))), Code::kExpiredCertificate);
}

TEST_F(RenewalTest, IsNotForTheRevoked) {
  const Identity identity = IdentityOf(applicant_, chain_);
  Must(enrolment().operators().Revoke(TestDevice("d1"), "stolen", "anna"));
  EXPECT_EQ(RefusalOf(Decide(Renewal_(identity))), Code::kRevokedCertificate);
  Reopen();
  EXPECT_EQ(RefusalOf(Decide(Renewal_(identity))), Code::kRevokedCertificate);
}

TEST_F(RenewalTest, WorksForMembersIssuedByHand) {
  const Identity hand = fleet.Issue(Role::kGateway, "g1");
  const EnrolmentAnswer answer = Decide(Must(SealRenewal(hand, target(), clock.Now())));
  ASSERT_EQ(answer.kind, Kind::kIssued) << answer.refusal.sentence;
  EXPECT_EQ(Must(Verify(answer.chain)).subject.role, Role::kGateway);
  EXPECT_EQ(Must(enrolment().operators().Find(TestDevice("g1"))).token, "");
}

TEST_F(RenewalTest, IsNotForAggregators) {
  const Identity aggregator = fleet.Issue(Role::kAggregator, "other");
  EXPECT_EQ(RefusalOf(Decide(Must(SealRenewal(aggregator, target(), clock.Now())))), Code::kWrongRole);
}

TEST_F(RenewalTest, ARecordedRequestIsWorthNothingLater) {
  const Bytes request = Renewal_(IdentityOf(applicant_, chain_), GenerateCurveKeyPair().public_key);
  clock.Advance(std::chrono::hours(24 * 31));
  EXPECT_EQ(RefusalOf(Decide(request)), Code::kExpired);
}

TEST_F(RenewalTest, OneMemberCannotFillTheStore) {
  const Identity identity = IdentityOf(applicant_, chain_);
  int issued = 0;
  EnrolmentAnswer last;
  for (int i = 0; i < 40; ++i) {
    last = Decide(Renewal_(identity, GenerateCurveKeyPair().public_key));
    issued += last.kind == Kind::kIssued ? 1 : 0;
  }
  EXPECT_EQ(issued, 31) << "with the first, 32 that are valid";
  EXPECT_EQ(RefusalOf(last), Code::kTooFast);
}

}  // namespace
}  // namespace tributary::renewal_test

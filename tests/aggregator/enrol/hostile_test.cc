#include <gtest/gtest.h>

#include "protocol/trust/identity/identity.h"
#include "protocol/trust/identity/revocation_list.h"
#include "tests/aggregator/enrol/enrol_fixture.h"

// The life of a token, a member and a request, as somebody would have it who wants more than he was given.
namespace tributary::hostile_test {
namespace {

using Kind = EnrolmentAnswer::Kind;

class Hostile : public testing::Test, protected EnrolFixture {
 protected:
  Bytes RenewalOf(const Applicant& applicant, const std::vector<Bytes>& chain, const Applicant& next) const {
    EnrolmentRequest request;
    request.certificate_request =
        Must(MakeCertificateRequest(next.key, Must(Verify(chain)).subject.id, next.curve.public_key));
    request.created = clock.Now();
    request.authority = Renewal{chain, applicant.key.Sign(RenewalTranscript(request.certificate_request))};
    return Must(SealEnrolment(request, target()));
  }
  std::vector<Bytes> IssuedByHand(const CertificateAuthority& issuer, const Applicant& applicant, const char* id,
                                  const char* device_class, Millis lifetime) const {
    const Subject subject{TestDevice(id), Role::kDevice, device_class, applicant.curve.public_key};
    return {Must(issuer.Issue(subject, applicant.key.public_key(), clock.Now(), lifetime)).der,
            issuer.certificate().der};
  }
};

TEST_F(Hostile, TheLastUseGoesToOneOnly) {
  const std::string secret = MakeToken("spring");
  const Bytes first = Ask(Applicant(), secret, "d1"), second = Ask(Applicant(), secret, "d2");
  EXPECT_EQ(Decide(second).kind, Kind::kIssued);
  EXPECT_EQ(RefusalOf(Decide(first)), Code::kBadToken);
  Must(enrolment().operators().Revoke(TestDevice("d2"), "stolen", "anna"));
  EXPECT_EQ(RefusalOf(Decide(first)), Code::kBadToken) << "a revoked member's use does not come back";
  Reopen();
  EXPECT_EQ(RefusalOf(Decide(first)), Code::kBadToken);
}

TEST_F(Hostile, ARemovedTokensRequestsAreWorthWhatTheyWere) {
  const std::string open = MakeToken("open", 9), closed = MakeToken("closed", 9, false);
  const Applicant waiting;
  const Bytes answered = Ask(Applicant(), open, "d1"), late = Ask(Applicant(), open, "d2");
  const Bytes asked = Ask(waiting, closed, "d3");
  const EnrolmentAnswer before = Decide(answered);
  EXPECT_EQ(Decide(asked).kind, Kind::kPending);
  Must(enrolment().operators().RemoveToken("open"));
  Must(enrolment().operators().RemoveToken("closed"));
  EXPECT_EQ(Decide(answered), before) << "given is given; a member is revoked";
  EXPECT_EQ(RefusalOf(Decide(late)), Code::kBadToken);
  EXPECT_EQ(Decide(asked).kind, Kind::kPending) << "an operator's word is still to come";
  EXPECT_EQ(RefusalOf(Decide(Ask(waiting, closed, "d3"))), Code::kBadToken);
}

TEST_F(Hostile, ATokenMadeAgainUnderItsNameIsAnother) {
  const std::string former = MakeToken("spring", 9, false);
  const Applicant waiting;
  Decide(Ask(waiting, former, "d1"));
  Must(enrolment().operators().RemoveToken("spring"));
  const std::string present = MakeToken("spring", 2);
  EXPECT_EQ(RefusalOf(Decide(Ask(Applicant(), former, "d2"))), Code::kBadToken);
  EXPECT_EQ(Decide(Ask(waiting, present, "d1")).kind, Kind::kIssued) << "its maker has approved it";
  EXPECT_EQ(Must(enrolment().operators().Tokens()).at(0).used, 1u);
}

TEST_F(Hostile, AnOperatorsWordOutlivesTheToken) {
  const Bytes request = Ask(Applicant(), MakeToken("spring", 1, false), "d1");
  Decide(request);
  clock.Advance(std::chrono::hours(24 * 20));
  EXPECT_EQ(Decide(request).kind, Kind::kPending) << "it asks with the same bytes for as long as it takes";
  Must(enrolment().operators().Approve(TestDevice("d1"), "anna"));
  EXPECT_EQ(Decide(request).kind, Kind::kIssued);
}

TEST_F(Hostile, NothingOfARevokedMemberRenews) {
  Applicant applicant;
  const auto first = Enrolled(applicant, "d1", MakeToken("spring"));
  const Bytes recorded = RenewalOf(applicant, first, Applicant());
  ASSERT_EQ(Decide(recorded).kind, Kind::kIssued);
  const Applicant thief, hidden, by_ca;
  const auto unseen = IssuedByHand(Must(LoadAuthority(issuer_dir)), hidden, "d1", "phone", std::chrono::hours(24));
  const auto of_ca = IssuedByHand(fleet.authority(), by_ca, "d1", "phone", std::chrono::hours(24));
  const std::vector<Bytes> requests = {RenewalOf(applicant, first, thief), RenewalOf(hidden, unseen, thief),
                                       RenewalOf(by_ca, {of_ca[0]}, thief)};
  Must(enrolment().operators().Revoke(TestDevice("d1"), "stolen", "anna"));
  EXPECT_EQ(RefusalOf(Decide(recorded)), Code::kRevokedCertificate) << "what was answered before";
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(RefusalOf(Decide(requests[i])), Code::kRevokedCertificate) << i;
  }
  EXPECT_EQ(Verify(unseen).error().code, Code::kRevokedCertificate) << "showing it was enough to have it listed";
}

TEST_F(Hostile, AKeyThatWasAMembersIsNobodyElses) {
  const std::string secret = MakeToken("spring", 9);
  const Applicant former, present, other;
  const auto chain = Enrolled(former, "d1", secret);
  ASSERT_EQ(Decide(RenewalOf(former, chain, present)).kind, Kind::kIssued);
  EXPECT_EQ(RefusalOf(Decide(Ask(former, secret, "d2"))), Code::kAlreadyExists);
  EXPECT_EQ(RefusalOf(Decide(Ask(former, secret, "d1"))), Code::kAlreadyExists);
  EXPECT_EQ(RefusalOf(Decide(Ask(former, secret, std::nullopt))), Code::kAlreadyExists);
  const auto second = Enrolled(other, "d3", secret);
  EXPECT_EQ(RefusalOf(Decide(RenewalOf(other, second, present))), Code::kAlreadyExists);
  EXPECT_EQ(RefusalOf(Decide(RenewalOf(other, second, former))), Code::kAlreadyExists);
  Must(enrolment().operators().Revoke(TestDevice("d1"), "stolen", "anna"));
  for (const Applicant* key : {&former, &present}) {
    EXPECT_EQ(RefusalOf(Decide(Ask(*key, secret, std::nullopt))), Code::kRevokedCertificate);
  }
  EXPECT_EQ(Must(enrolment().operators().Tokens()).at(0).used, 2u);
}

TEST_F(Hostile, RefusingAnotherEnrolmentLeavesTheMemberRevocable) {
  const Applicant applicant;
  const auto chain = Enrolled(applicant, "d1", MakeToken("spring"));
  EXPECT_EQ(Decide(Ask(applicant, MakeToken("summer", 1, false), "d1")).kind, Kind::kPending);
  EXPECT_EQ(RefusalOf(Decide(RenewalOf(applicant, chain, Applicant()))), Code::kForbidden);
  Must(enrolment().operators().RefuseEnrolment(TestDevice("d1"), "no", "anna"));
  EXPECT_TRUE(Verify(chain)) << "no more than the other enrolment was refused";
  Must(enrolment().operators().Revoke(TestDevice("d1"), "stolen", "anna"));
  EXPECT_EQ(Verify(chain).error().code, Code::kRevokedCertificate);
}

TEST_F(Hostile, IdsThatLookAlikeAreOthersOrNone) {
  const std::string secret = MakeToken("spring", 9);
  Enrolled(Applicant(), "d1", secret);
  for (const char* id : {"d-1", "dl", "d1.", "d1-", "d01"}) Enrolled(Applicant(), id, secret);
  Must(enrolment().operators().Revoke(TestDevice("d1."), "stolen", "anna"));
  EXPECT_EQ(Must(enrolment().operators().Find(TestDevice("d1"))).state, EnrolmentState::kActive);
  for (const std::string id : {"D1", "d1 ", " d1", "d1\n", "d\xd0\xb0", "d1/", "../d1", "d1\xe2\x80\x8b"}) {
    EXPECT_FALSE(DeviceId::Parse(id)) << id;
  }
  EXPECT_FALSE(DeviceId::Parse(std::string("d1\0", 3)));
}

TEST_F(Hostile, AnOlderCertificateDoesNotSayWhatAMemberIs) {
  Enrolled(Applicant(), "d1", MakeToken("spring"));
  const Applicant older, newer;
  const CertificateAuthority& ca = fleet.authority();
  const auto shorter = IssuedByHand(ca, older, "d1", "tablet", std::chrono::hours(24));
  enrolment().Saw(Must(Verify({shorter[0]})));
  EXPECT_EQ(Must(enrolment().operators().Find(TestDevice("d1"))).device_class, "phone");
  const auto longer = IssuedByHand(ca, newer, "d1", "tablet", std::chrono::hours(24 * 20));
  enrolment().Saw(Must(Verify({longer[0]})));
  EXPECT_EQ(Must(enrolment().operators().Find(TestDevice("d1"))).device_class, "tablet");
}

TEST_F(Hostile, ARevokedIssuerStillRevokes) {
  const auto chain = Enrolled(Applicant(), "d1", MakeToken("spring"));
  const std::string issuer_serial = Must(Verify(chain)).issuers.at(0).serial;
  const Bytes crl = Must(SignRevocations(fleet.authority(), 1, {issuer_serial}, clock.Now(), std::chrono::hours(24)));
  const std::string list = RevocationsToPem({}, crl);
  Must(WriteFileAtomically(RealFileSystem(), ca_revocations, AsBytes(list)));
  clock.Advance(std::chrono::minutes(1));
  enrolment().Tick();
  EXPECT_EQ(Must(enrolment().operators().Revoke(TestDevice("d1"), "stolen", "anna")).state, EnrolmentState::kRevoked);
  Reopen();
  EXPECT_EQ(enrolment().Standing(TestDevice("d1")).error().code, Code::kRevokedCertificate);
}

}  // namespace
}  // namespace tributary::hostile_test

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/trust/identity/revocation_list.h"
#include "tests/aggregator/enrol/enrol_fixture.h"

// Ids whose keys change or go: names that nobody has shown, devices that were set up anew, members that are forgotten.
namespace tributary::changed_key_test {
namespace {

using testing::HasSubstr;

class ChangedKey : public testing::Test, protected EnrolFixture {
 protected:
  Enrolment& office() { return enrolment().operators(); }
  // A certificate that the issuer made by hand, and that nobody has shown yet.
  std::vector<Bytes> ByHand(const std::string& id) {
    const CertificateAuthority issuer = Must(LoadAuthority(issuer_dir));
    const Applicant applicant;
    const Subject subject{TestDevice(id), Role::kDevice, "phone", applicant.curve.public_key};
    return {Must(issuer.Issue(subject, applicant.key.public_key(), clock.Now(), std::chrono::hours(24))).der,
            issuer.certificate().der};
  }
};

TEST_F(ChangedKey, ANameThatNobodyHasShownCanBeRevoked) {
  const std::vector<Bytes> chain = ByHand("d9");
  const VerifiedIdentity hidden = Must(Verify(chain));
  const EnrolledMember revoked = Must(office().Revoke(TestDevice("d9"), "lost before it came", "anna"));
  EXPECT_EQ(revoked.state, EnrolmentState::kRevoked);
  EXPECT_THAT(revoked.reason, HasSubstr("nobody has shown"));
  Reopen();
  EXPECT_EQ(enrolment().Standing(TestDevice("d9")).error().code, Code::kRevokedCertificate);
  EXPECT_EQ(RefusalOf(Decide(Ask(Applicant(), MakeToken("spring"), "d9"))), Code::kAlreadyExists);
  EXPECT_EQ(office().Forget(TestDevice("d9"), "anna").error().code, Code::kConflict) << "only the name keeps it out";
  // As soon as it comes by, gateways are told as well.
  enrolment().Saw(hidden);
  enrolment().Tick();
  EXPECT_EQ(Verify(chain).error().code, Code::kRevokedCertificate);
  EXPECT_EQ(Must(office().Find(TestDevice("d9"))).state, EnrolmentState::kRevoked);
  EXPECT_TRUE(office().Forget(TestDevice("d9"), "anna"));
  EXPECT_EQ(Verify(chain).error().code, Code::kRevokedCertificate);
}

TEST_F(ChangedKey, TheAggregatorDoesNotRevokeItself) {
  EXPECT_EQ(office().Revoke(PartsOfIt().self, "", "").error().code, Code::kConflict);
}

TEST_F(ChangedKey, ADeviceThatWasSetUpAnewGetsItsIdBack) {
  const Applicant before, after;
  const auto old_chain = Enrolled(before, "d1", MakeToken("spring"));
  EXPECT_EQ(office().ReplaceKey(TestDevice("d1"), "anna").error().code, Code::kConflict) << "nobody asked";
  const Bytes request = Ask(after, MakeToken("summer"), "d1");
  const EnrolmentAnswer taken = Decide(request);
  EXPECT_EQ(RefusalOf(taken), Code::kAlreadyExists);
  EXPECT_THAT(taken.refusal.sentence, HasSubstr("devices approve d1 --replaces-key"));
  EXPECT_EQ(Must(office().ReplaceKey(TestDevice("d1"), "anna")).public_key, ToBytes(after.key.public_key()));
  EXPECT_EQ(Verify(old_chain).error().code, Code::kRevokedCertificate);
  const EnrolmentAnswer issued = Decide(request);
  ASSERT_EQ(issued.kind, EnrolmentAnswer::Kind::kIssued) << issued.refusal.sentence;
  EXPECT_EQ(Must(Verify(issued.chain)).subject.id, TestDevice("d1"));
  EXPECT_TRUE(enrolment().Standing(TestDevice("d1")));
  EXPECT_EQ(RefusalOf(Decide(Ask(before, MakeToken("autumn"), "d1"))), Code::kAlreadyExists) << "not the old key";
  Reopen();
  EXPECT_EQ(Verify(old_chain).error().code, Code::kRevokedCertificate);
  EXPECT_TRUE(Verify(issued.chain));
}

TEST_F(ChangedKey, WhoWaitsForAnOperatorWaitsForThisOneToo) {
  Enrolled(Applicant(), "d1", MakeToken("spring"));
  const Bytes request = Ask(Applicant(), MakeToken("summer", 1, false), "d1");
  EXPECT_EQ(Decide(request).kind, EnrolmentAnswer::Kind::kPending);
  Must(office().ReplaceKey(TestDevice("d1"), "anna"));
  EXPECT_EQ(Decide(request).kind, EnrolmentAnswer::Kind::kIssued) << "the operator has said so already";
}

TEST_F(ChangedKey, AForgottenIdIsFreeAndItsKeysAreNot) {
  const Applicant first;
  const auto chain = Enrolled(first, "d1", MakeToken("spring"));
  EXPECT_EQ(office().Forget(TestDevice("d1"), "anna").error().code, Code::kConflict) << "it is active";
  Must(office().Revoke(TestDevice("d1"), "scrapped", "anna"));
  Must(office().Forget(TestDevice("d1"), "anna"));
  EXPECT_EQ(office().Find(TestDevice("d1")).error().code, Code::kNotFound);
  EXPECT_EQ(RefusalOf(Decide(Ask(first, MakeToken("summer"), "d1"))), Code::kRevokedCertificate);
  const auto fresh = Enrolled(Applicant(), "d1", MakeToken("autumn"));
  Reopen();
  EXPECT_TRUE(Verify(fresh));
  EXPECT_EQ(Verify(chain).error().code, Code::kRevokedCertificate);
  EXPECT_EQ(enrolment().counts().members.at(EnrolmentState::kActive), 1u);
}

}  // namespace
}  // namespace tributary::changed_key_test

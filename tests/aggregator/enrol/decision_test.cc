#include <gtest/gtest.h>

#include "tests/aggregator/enrol/enrol_fixture.h"

namespace tributary::decision_test {
namespace {

using Kind = EnrolmentAnswer::Kind;

class Decision : public testing::Test, protected EnrolFixture {};

TEST_F(Decision, ATokenGivesACertificateWithItsRoleAndClass) {
  const std::string secret = MakeToken("spring");
  EXPECT_EQ(secret.size(), 4u + 64);
  EXPECT_TRUE(secret.starts_with("tri_"));
  const Applicant applicant;
  const auto verified = Verify(Enrolled(applicant, "d1", secret));
  ASSERT_TRUE(verified) << verified.error().ToString();
  EXPECT_EQ(verified->subject.id, TestDevice("d1"));
  EXPECT_EQ(verified->subject.role, Role::kDevice);
  EXPECT_EQ(verified->subject.device_class, "phone");
  EXPECT_EQ(verified->subject.curve_public_key, applicant.curve.public_key);
  EXPECT_EQ(verified->public_key, applicant.key.public_key());
  const EnrolledMember member = Must(enrolment().operators().Find(TestDevice("d1")));
  EXPECT_EQ(member.state, EnrolmentState::kActive);
  EXPECT_EQ(member.serial, verified->serial);
  EXPECT_EQ(member.token, "spring");
  EXPECT_EQ(member.labels, (std::vector<std::string>{"north", "batch-3"}));
  EXPECT_EQ(member.not_after, verified->not_after);
}

TEST_F(Decision, ItIsByTheIssuerBelowTheCa) {
  const auto chain = Enrolled(Applicant(), "d1", MakeToken("spring"));
  ASSERT_EQ(chain.size(), 2u) << "leaf and issuer";
  EXPECT_NE(Must(Verify(chain)).issuer_public_key, Must(anchor.IssuerKey({})));
}

TEST_F(Decision, TheSameRequestGetsTheSameAnswerAlsoAfterARestart) {
  const Bytes request = Ask(Applicant(), MakeToken("spring"), "d1");
  const EnrolmentAnswer first = Decide(request);
  EXPECT_EQ(Decide(request), first);
  Reopen();
  EXPECT_EQ(Decide(request), first);
  EXPECT_EQ(Must(enrolment().operators().Tokens()).at(0).used, 1u);
}

TEST_F(Decision, AnotherRequestWithTheSameKeysUsesNothingMore) {
  const std::string secret = MakeToken("spring", 1);
  const Applicant applicant;
  const auto first = Enrolled(applicant, "d1", secret);
  EXPECT_EQ(Enrolled(applicant, "d1", secret), first);
  EXPECT_EQ(Must(enrolment().operators().Tokens()).at(0).used, 1u);
}

TEST_F(Decision, ATokenIsUsedAsOftenAsItSays) {
  const std::string secret = MakeToken("spring", 2);
  Enrolled(Applicant(), "d1", secret);
  Enrolled(Applicant(), "d2", secret);
  const EnrolmentAnswer third = Decide(Ask(Applicant(), secret, "d3"));
  EXPECT_EQ(RefusalOf(third), Code::kBadToken);
  Reopen();
  EXPECT_EQ(RefusalOf(Decide(Ask(Applicant(), secret, "d3"))), Code::kBadToken) << "uses are durable";
  EXPECT_EQ(enrolment().operators().Find(TestDevice("d3")).error().code, Code::kNotFound);
}

TEST_F(Decision, UnknownOverAndRemovedTokensAreRefused) {
  EXPECT_EQ(RefusalOf(Decide(Ask(Applicant(), "tri_" + std::string(64, '0'), "d1"))), Code::kBadToken);
  const std::string secret = MakeToken("spring");
  Must(enrolment().operators().RemoveToken("spring"));
  EXPECT_EQ(RefusalOf(Decide(Ask(Applicant(), secret, "d1"))), Code::kBadToken);
  const std::string summer = MakeToken("summer");
  clock.Advance(std::chrono::hours(24));
  EXPECT_EQ(RefusalOf(Decide(Ask(Applicant(), summer, "d1"))), Code::kBadToken);
  EXPECT_EQ(enrolment().counts().decisions.at("bad-token"), 3u);
}

TEST_F(Decision, SecretsAreInNoAnswer) {
  const std::string secret = MakeToken("spring");
  Enrolled(Applicant(), "d1", secret);
  const EnrolmentAnswer refused = Decide(Ask(Applicant(), secret, "d2"));
  EXPECT_EQ(refused.refusal.sentence.find(secret.substr(4)), std::string::npos);
}

TEST_F(Decision, AnIdBelongsToItsKey) {
  const std::string secret = MakeToken("spring", 5);
  Enrolled(Applicant(), "d1", secret);
  EXPECT_EQ(RefusalOf(Decide(Ask(Applicant(), secret, "d1"))), Code::kAlreadyExists);
  EXPECT_EQ(RefusalOf(Decide(Ask(Applicant(), secret, "aggregator"))), Code::kAlreadyExists);
  EXPECT_EQ(Must(enrolment().operators().Tokens()).at(0).used, 1u) << "what is refused uses nothing";
}

TEST_F(Decision, AnIdOfAMemberIssuedByHandIsTaken) {
  const Identity hand = fleet.Issue(Role::kDevice, "d1");
  enrolment().Saw(Must(anchor.Verify(hand.chain, clock.Now())));
  EXPECT_EQ(RefusalOf(Decide(Ask(Applicant(), MakeToken("spring"), "d1"))), Code::kAlreadyExists);
}

TEST_F(Decision, AKeyBelongsToItsId) {
  const std::string secret = MakeToken("spring", 5);
  const Applicant applicant;
  Enrolled(applicant, "d1", secret);
  EXPECT_EQ(RefusalOf(Decide(Ask(applicant, secret, "d2"))), Code::kAlreadyExists);
}

TEST_F(Decision, TheFleetChoosesAnIdForWhoWantsNone) {
  const std::string secret = MakeToken("spring", 5, true, Role::kGateway);
  const Applicant applicant;
  const EnrolmentAnswer answer = Decide(Ask(applicant, secret, std::nullopt));
  ASSERT_EQ(answer.kind, Kind::kIssued) << answer.refusal.sentence;
  const std::string id = Must(Verify(answer.chain)).subject.id.text();
  EXPECT_TRUE(id.starts_with("gateway-")) << id;
  EXPECT_EQ(id.size(), 8u + 12);
  EXPECT_EQ(Decide(Ask(applicant, secret, std::nullopt)).chain, answer.chain);
}

TEST_F(Decision, WithAnotherConnectionKeyAMemberIsEnrolledAnew) {
  const std::string secret = MakeToken("spring", 2);
  Applicant applicant;
  Enrolled(applicant, "d1", secret);
  applicant.curve = GenerateCurveKeyPair();
  EXPECT_EQ(Must(Verify(Enrolled(applicant, "d1", secret))).subject.curve_public_key, applicant.curve.public_key);
  EXPECT_EQ(Must(enrolment().operators().Tokens()).at(0).used, 2u);
}

TEST_F(Decision, AMemberKeepsItsRole) {
  const Applicant applicant;
  Enrolled(applicant, "d1", MakeToken("spring"));
  const std::string gateways = MakeToken("gateways", 1, true, Role::kGateway);
  EXPECT_EQ(RefusalOf(Decide(Ask(applicant, gateways, "d1"))), Code::kAlreadyExists);
}

TEST_F(Decision, FarOffClocksAreRefused) {
  const std::string secret = MakeToken("spring", 9);
  for (const int64_t hours : {-24 * 31, 25}) {
    const WallTime created = clock.Now() + Millis(hours * 3'600'000);
    EXPECT_EQ(RefusalOf(Decide(AskAt(Applicant(), secret, "d1", created))), Code::kExpired) << hours;
  }
  EXPECT_EQ(Decide(AskAt(Applicant(), secret, "d1", clock.Now() + -std::chrono::hours(24 * 29))).kind, Kind::kIssued);
}

TEST_F(Decision, WhatIsNotARequestIsRefusedByName) {
  EXPECT_EQ(RefusalOf(Decide({})), Code::kMalformed);
  EXPECT_EQ(RefusalOf(Decide(Bytes(limits::kEnrolmentBytes + 1))), Code::kTooLarge);
  EnrolmentRequest request;
  request.authority = SecretBytes::CopyOf(AsBytes("tri_00"));
  const auto stranger = Must(SealEnrolment(request, {kDefaultAead, GenerateHpkeKeyPair().public_key}));
  EXPECT_EQ(RefusalOf(Decide(stranger)), Code::kUnknownKey);
  EXPECT_EQ(RefusalOf(Decide(Must(SealEnrolment(request, target())))), Code::kMalformed) << "no PKCS#10 in it";
  Bytes altered = Ask(Applicant(), MakeToken("spring"), "d1");
  altered.back() ^= 1;
  const Code broken = RefusalOf(Decide(altered));
  EXPECT_TRUE(broken == Code::kSealBroken || broken == Code::kMalformed) << Name(broken);
}

TEST_F(Decision, RequestsToAFormerKeyAreOpenedUntilItsEnd) {
  const std::string secret = MakeToken("spring", 2);
  const Bytes early = Ask(Applicant(), secret, "d1"), late = Ask(Applicant(), secret, "d2");
  Must(keys().Rotate(clock.Now(), std::chrono::hours(2)));
  EXPECT_EQ(Decide(early).kind, Kind::kIssued);
  clock.Advance(std::chrono::hours(2));
  EXPECT_EQ(RefusalOf(Decide(late)), Code::kUnknownKey);
  EXPECT_EQ(Decide(early).kind, Kind::kIssued) << "what was answered stays answered";
}

TEST_F(Decision, DecisionsAreRateLimited) {
  options.new_requests = {1, 2};
  Reopen();
  const std::string secret = MakeToken("spring", 9);
  const Bytes first = Ask(Applicant(), secret, "d1");
  EXPECT_EQ(Decide(first).kind, Kind::kIssued);
  EXPECT_EQ(Decide(Ask(Applicant(), secret, "d2")).kind, Kind::kIssued);
  const Bytes third = Ask(Applicant(), secret, "d3");
  const EnrolmentAnswer busy = Decide(third);
  EXPECT_EQ(RefusalOf(busy), Code::kTooFast);
  EXPECT_EQ(busy.refusal.retry, kAskAgain);
  EXPECT_EQ(Decide(first).kind, Kind::kIssued) << "what was decided costs nothing";
  clock.Advance(Millis(1'000));
  EXPECT_EQ(Decide(third).kind, Kind::kIssued);
}

TEST(DecisionWithoutIssuer, EverythingIsRefusedWithAClearWord) {
  EnrolFixture fixture(false);
  EnrolmentTokenRecord token;
  token.id = "spring";
  EXPECT_EQ(fixture.enrolment().operators().CreateToken(token).error().code, Code::kNotSupported);
  const EnrolmentAnswer answer = fixture.Decide(fixture.Ask(Applicant(), "tri_00", "d1"));
  EXPECT_EQ(RefusalOf(answer), Code::kNotSupported);
  EXPECT_NE(answer.refusal.sentence.find("issuer_dir"), std::string::npos);
  EXPECT_EQ(fixture.enrolment().Revocations(), "");
}

}  // namespace
}  // namespace tributary::decision_test

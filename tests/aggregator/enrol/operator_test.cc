#include <gtest/gtest.h>

#include "tests/aggregator/enrol/enrol_fixture.h"

namespace tributary::operator_test {
namespace {

using Kind = EnrolmentAnswer::Kind;

class Operator : public testing::Test, protected EnrolFixture {
 protected:
  EnrolmentTokenRecord Good() const {
    EnrolmentTokenRecord token;
    token.id = "spring";
    token.device_class = "phone";
    token.expires = clock.Now() + std::chrono::hours(1);
    return token;
  }
};

TEST_F(Operator, TokensAreChecked) {
  const auto refused = [&](auto change, const std::string& field) {
    EnrolmentTokenRecord token = Good();
    change(token);
    const auto made = enrolment().operators().CreateToken(token);
    ASSERT_FALSE(made) << field;
    EXPECT_EQ(made.error().code, Code::kInvalidArgument) << field;
    EXPECT_NE(made.error().message.find(field), std::string::npos) << made.error().message;
  };
  refused([](auto& token) { token.id = "No Name"; }, "id");
  refused([](auto& token) { token.role = Role::kAggregator; }, "role");
  refused([](auto& token) { token.device_class = ""; }, "device_class");
  refused([](auto& token) { token.role = Role::kGateway; }, "device_class");
  refused([](auto& token) { token.labels = {"x", "x"}; }, "labels");
  refused([](auto& token) { token.labels = {"two words"}; }, "labels");
  refused([](auto& token) { token.labels.resize(17, "x"); }, "labels");
  refused([](auto& token) { token.uses = 0; }, "uses");
  refused([](auto& token) { token.uses = 1'000'001; }, "uses");
  refused([&](auto& token) { token.expires = clock.Now(); }, "expires");
  refused([&](auto& token) { token.expires = clock.Now() + std::chrono::hours(24 * 3'651); }, "expires");
  EXPECT_TRUE(Must(enrolment().operators().Tokens()).empty());
}

TEST_F(Operator, TokensAreListedAndRemoved) {
  MakeToken("b"), MakeToken("a");
  EXPECT_EQ(enrolment()
                .operators()
                .CreateToken([&] {
                  EnrolmentTokenRecord token = Good();
                  token.id = "a";
                  return token;
                }())
                .error()
                .code,
            Code::kAlreadyExists);
  Reopen();
  const auto tokens = Must(enrolment().operators().Tokens());
  ASSERT_EQ(tokens.size(), 2u);
  EXPECT_EQ(tokens[0].id, "a");
  EXPECT_EQ(tokens[0].created_by, "anna");
  EXPECT_EQ(tokens[0].labels.size(), 2u);
  Must(enrolment().operators().RemoveToken("a"));
  EXPECT_EQ(enrolment().operators().RemoveToken("a").error().code, Code::kNotFound);
  EXPECT_EQ(Must(enrolment().operators().Tokens()).size(), 1u);
}

TEST_F(Operator, SecretsAreKeptHashedOnly) {
  const std::string secret = MakeToken("spring");
  Reopen();
  for (const char* name : {"enrolment.db", "enrolment.db-wal"}) {
    const auto bytes = ReadFile(RealFileSystem(), folder / name, 1 << 24);
    if (!bytes) continue;
    EXPECT_EQ(AsText(*bytes).find(secret.substr(4)), std::string_view::npos) << name;
  }
}

TEST_F(Operator, AnEnrolmentWaitsForApproval) {
  const Bytes request = Ask(Applicant(), MakeToken("spring", 1, false), "d1");
  const EnrolmentAnswer waiting = Decide(request);
  EXPECT_EQ(waiting.kind, Kind::kPending);
  EXPECT_EQ(waiting.refusal.code, Code::kPending);
  EXPECT_EQ(waiting.refusal.retry, kAskAgain);
  Reopen();
  EXPECT_EQ(Decide(request), waiting);
  EXPECT_EQ(enrolment().counts().members.at(EnrolmentState::kPending), 1u);
  EXPECT_EQ(Must(enrolment().operators().Approve(TestDevice("d1"), "anna")).state, EnrolmentState::kActive);
  EXPECT_EQ(enrolment().counts().members.at(EnrolmentState::kPending), 0u);
  const EnrolmentAnswer issued = Decide(request);
  ASSERT_EQ(issued.kind, Kind::kIssued);
  EXPECT_TRUE(Verify(issued.chain));
  EXPECT_EQ(enrolment().operators().Approve(TestDevice("d1"), "anna").error().code, Code::kConflict);
}

TEST_F(Operator, ApprovalIsForTheNewestConnectionKey) {
  const std::string secret = MakeToken("spring", 1, false);
  Applicant applicant;
  EXPECT_EQ(Decide(Ask(applicant, secret, "d1")).kind, Kind::kPending);
  applicant.curve = GenerateCurveKeyPair();
  const Bytes second = Ask(applicant, secret, "d1");
  EXPECT_EQ(Decide(second).kind, Kind::kPending);
  Must(enrolment().operators().Approve(TestDevice("d1"), "anna"));
  EXPECT_EQ(Must(Verify(Decide(second).chain)).subject.curve_public_key, applicant.curve.public_key);
}

TEST_F(Operator, ARefusalIsFinal) {
  const std::string secret = MakeToken("spring", 2, false);
  const Applicant applicant;
  const Bytes request = Ask(applicant, secret, "d1");
  Decide(request);
  const EnrolledMember member = Must(enrolment().operators().RefuseEnrolment(TestDevice("d1"), "not ours", "anna"));
  EXPECT_EQ(member.reason, "not ours (anna)");
  const EnrolmentAnswer refused = Decide(request);
  EXPECT_EQ(RefusalOf(refused), Code::kForbidden);
  EXPECT_NE(refused.refusal.sentence.find("not ours"), std::string::npos);
  EXPECT_EQ(RefusalOf(Decide(Ask(applicant, secret, "d1"))), Code::kForbidden);
  EXPECT_EQ(enrolment().operators().Approve(TestDevice("d1"), "anna").error().code, Code::kConflict);
  EXPECT_EQ(enrolment().operators().RefuseEnrolment(TestDevice("d9"), "", "anna").error().code, Code::kNotFound);
}

TEST_F(Operator, StatesAddUpToTheMembers) {
  const std::string open = MakeToken("open", 9), closed = MakeToken("closed", 9, false);
  for (const char* id : {"a1", "a2", "a3"}) Enrolled(Applicant(), id, open);
  for (const char* id : {"p1", "p2"}) Decide(Ask(Applicant(), closed, id));
  Must(enrolment().operators().Revoke(TestDevice("a1"), "stolen", "anna"));
  Must(enrolment().operators().RefuseEnrolment(TestDevice("p1"), "", "anna"));
  const std::map<EnrolmentState, uint64_t> expected = {{EnrolmentState::kActive, 2},
                                                       {EnrolmentState::kPending, 1},
                                                       {EnrolmentState::kRefused, 1},
                                                       {EnrolmentState::kRevoked, 1}};
  EXPECT_EQ(enrolment().counts().members, expected);
  Reopen();
  EXPECT_EQ(enrolment().counts().members, expected);
  EXPECT_EQ(Must(enrolment().operators().EnrolledMembers()).size(), 5u);
}

}  // namespace
}  // namespace tributary::operator_test

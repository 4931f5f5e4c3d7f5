#include <gtest/gtest.h>

#include "tests/aggregator/enrol/enrol_fixture.h"

// People who watch are told of members: each change once, when it is durable, and nothing that is secret.
namespace tributary::event_test {
namespace {

class EnrolmentEvents : public testing::Test, protected EnrolFixture {
 protected:
  // "name id", since the last call.
  std::vector<std::string> Told() {
    std::vector<std::string> told;
    for (const EnrolmentEvent& event : events) told.push_back(event.name + " " + event.id.text());
    events.clear();
    return told;
  }
  using Names = std::vector<std::string>;
};

TEST_F(EnrolmentEvents, TellOfAMembersLife) {
  const Applicant applicant;
  const auto chain = Enrolled(applicant, "d1", MakeToken("spring"));
  EXPECT_EQ(Told(), Names{"member.enrolled d1"});
  Must(Verify(
      Decide(Must(SealRenewal(IdentityOf(applicant, chain), target(), clock.Now(), GenerateCurveKeyPair().public_key)))
          .chain));
  EXPECT_EQ(Told(), Names{"member.renewed d1"});
  Must(enrolment().operators().Revoke(TestDevice("d1"), "stolen", "anna"));
  EXPECT_EQ(Told(), Names{"member.revoked d1"});
  Must(enrolment().operators().Revoke(TestDevice("d1"), "again", "anna"));
  EXPECT_EQ(Told(), Names{}) << "nothing changed";
}

TEST_F(EnrolmentEvents, TellWhoWaitsAndWhatAnOperatorDecided) {
  const std::string secret = MakeToken("spring", 2, false);
  const Bytes first = Ask(Applicant(), secret, "d1");
  Decide(first);
  Decide(Ask(Applicant(), secret, "d2"));
  EXPECT_EQ(Told(), (Names{"member.pending d1", "member.pending d2"}));
  Decide(first);
  EXPECT_EQ(Told(), Names{}) << "it asks again and again";
  Must(enrolment().operators().Approve(TestDevice("d1"), "anna"));
  Must(enrolment().operators().RefuseEnrolment(TestDevice("d2"), "not ours", "anna"));
  EXPECT_EQ(Told(), (Names{"member.approved d1", "member.refused d2"}));
  Decide(first);
  EXPECT_EQ(Told(), Names{}) << "its certificate was made by the approval";
}

TEST_F(EnrolmentEvents, SayRoleAndClassAndWhen) {
  Enrolled(Applicant(), "d1", MakeToken("spring"));
  clock.Advance(Millis(1'000));
  Enrolled(Applicant(), "g1", MakeToken("gateways", 1, true, Role::kGateway));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].role, Role::kDevice);
  EXPECT_EQ(events[0].device_class, "phone");
  EXPECT_EQ(events[1].role, Role::kGateway);
  EXPECT_EQ(events[1].device_class, "");
  EXPECT_EQ(events[1].at, kTestStart + Millis(1'000));
}

TEST_F(EnrolmentEvents, AreNotMadeByStrangers) {
  Decide({});
  Decide(Ask(Applicant(), "tri_" + std::string(64, '0'), "d1"));
  const std::string secret = MakeToken("spring");
  Enrolled(Applicant(), "d1", secret);
  Told();
  Decide(Ask(Applicant(), secret, "d2"));
  EXPECT_EQ(Told(), Names{});
}

}  // namespace
}  // namespace tributary::event_test

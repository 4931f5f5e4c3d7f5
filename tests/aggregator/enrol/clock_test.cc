#include <gtest/gtest.h>

#include "aggregator/enrol/member_registrar.h"
#include "protocol/trust/identity/revocation_list.h"
#include "tests/aggregator/enrol/enrol_fixture.h"

namespace tributary::clock_test {
namespace {

using Kind = EnrolmentAnswer::Kind;
constexpr Millis kHour = std::chrono::hours(1);
constexpr Millis kDay = 24 * kHour;
constexpr Millis kYear = 365 * kDay;

TEST(SteadyClockTest, IsSteadyAfterADayWithoutAJump) {
  ManualClock clock;
  SteadyClock steady(clock);
  clock.Advance(kDay - Millis(1));
  EXPECT_FALSE(steady.IsSteady());
  clock.Advance(Millis(1));
  EXPECT_TRUE(steady.IsSteady());
  clock.SetWall(clock.Now() + kHour);
  EXPECT_TRUE(steady.IsSteady()) << "little by little is no jump";
  for (const Millis jump : {2 * kHour, kYear, -kYear, -2 * kHour}) {
    clock.SetWall(clock.Now() + jump);
    EXPECT_FALSE(steady.IsSteady()) << jump.count();
    clock.Advance(kDay);
    EXPECT_TRUE(steady.IsSteady()) << jump.count();
  }
}

// Somebody sets the aggregator's clock years ahead, and right again some hours later.
class ClockJump : public testing::Test, protected EnrolFixture {
 protected:
  void PassMinutes(int minutes) {
    for (int i = 0; i < minutes; ++i) {
      clock.Advance(std::chrono::minutes(1));
      enrolment().Tick();
    }
  }
  void JumpAheadAndBack(const std::function<void()>& meanwhile) {
    PassMinutes(2);
    clock.SetWall(clock.Now() + 3 * kYear);
    PassMinutes(2);
    meanwhile();
    PassMinutes(2);
    clock.SetWall(clock.Now() + -(3 * kYear));
    PassMinutes(2);
  }
  RevocationList List() { return Must(ReadRevocations(enrolment().Revocations(), fleet.anchor())); }
};

TEST_F(ClockJump, UnrevokesNobody) {
  const auto chain = Enrolled(Applicant(), "d1", MakeToken("spring"));
  const std::string serial = Must(Verify(chain)).serial;
  Must(enrolment().operators().Revoke(TestDevice("d1"), "stolen", "anna"));
  JumpAheadAndBack([&] {
    EXPECT_TRUE(List().issuers.at(0).serials.contains(serial)) << "gateways whose clocks are right believe this list";
    Reopen();
  });
  EXPECT_TRUE(List().issuers.at(0).serials.contains(serial));
  EXPECT_EQ(Verify(chain).error().code, Code::kRevokedCertificate);
  EXPECT_EQ(Must(enrolment().operators().Find(TestDevice("d1"))).state, EnrolmentState::kRevoked);
}

TEST_F(ClockJump, LeavesAListThatIsRenewedInTime) {
  Enrolled(Applicant(), "d1", MakeToken("spring"));
  Must(enrolment().operators().Revoke(TestDevice("d1"), "stolen", "anna"));
  uint64_t before = 0;
  JumpAheadAndBack([&] { before = List().issuers.at(0).number; });
  const uint64_t after = List().issuers.at(0).number;
  EXPECT_GT(after, before) << "one dated years ahead is made anew";
  PassMinutes(10);
  EXPECT_EQ(List().issuers.at(0).number, after);
}

TEST_F(ClockJump, ForgetsNoMemberThatMayHaveToBeRevoked) {
  const Applicant applicant;
  const Bytes request = Ask(applicant, MakeToken("spring"), "d1");
  const EnrolmentAnswer given = Decide(request);
  JumpAheadAndBack([] {});
  EXPECT_EQ(Decide(request), given) << "the answer may not have arrived yet";
  Must(enrolment().operators().Revoke(TestDevice("d1"), "stolen", "anna"));
  EXPECT_EQ(Verify(given.chain).error().code, Code::kRevokedCertificate);
}

TEST_F(ClockJump, RequestsOfOtherTimesAreRefusedOnlyMeanwhile) {
  const std::string secret = MakeToken("spring");
  const Bytes request = Ask(Applicant(), secret, "d1");
  for (const Millis off : {3 * kYear, -3 * kYear}) {
    const WallTime right = clock.Now();
    clock.SetWall(right + off);
    EXPECT_EQ(RefusalOf(Decide(request)), Code::kExpired);
    clock.SetWall(right);
  }
  EXPECT_EQ(Must(enrolment().operators().Tokens()).at(0).used, 0u);
  EXPECT_EQ(Decide(request).kind, Kind::kIssued);
}

}  // namespace
}  // namespace tributary::clock_test

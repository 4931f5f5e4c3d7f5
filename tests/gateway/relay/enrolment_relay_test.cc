#include "gateway/relay/enrolment_relay.h"

#include "tests/protocol/hop/enrolment_fixture.h"

namespace tributary::enrolment_relay_test {
namespace {

using namespace hop_enrolment_test;

class EnrolmentRelayTest : public HopEnrolmentTest {
 protected:
  EnrolmentRelayTest() {
    gateway_server_.Stop();
    gateway_server_.desk = &relay_;
    gateway_server_.Start();
  }
  void GoUp() {
    uplink_.client().Start();
    ASSERT_TRUE(world_.RunUntil([&] { return uplink_.client().up(); }));
  }

  Identity gateway_ = world_.fleet.Issue(Role::kGateway, "gateway-1");
  TestSender uplink_{world_, gateway_, world_.folder / "spool", server_.Address()};
  EnrolmentRelay relay_{uplink_.client(), world_.clock};
  TestServer gateway_server_{world_, Role::kGateway, "gateway-1b"};
};

TEST_F(EnrolmentRelayTest, AGatewayPassesRequestsUpAndAnswersDown) {
  GoUp();
  desk_.says = Pending();
  const auto applicant = Applicant(gateway_server_, world_.fleet.anchor());
  applicant->Start();
  ASSERT_TRUE(world_.RunUntil([&] { return waits_.size() == 1; }));
  EXPECT_EQ(waits_[0], Code::kPending);
  desk_.says = Issued(issued_);
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !ended_.empty(); }));
  EXPECT_EQ(ended_, std::vector{Issued(issued_)});
  EXPECT_EQ(desk_.came.back().second, gateway_.subject.id);
  EXPECT_EQ(desk_.came.size(), 2u);
}

TEST_F(EnrolmentRelayTest, WithoutAnUplinkApplicantsWaitAndAreServedWhenItIsBack) {
  const auto applicant = Applicant(gateway_server_, world_.fleet.anchor());
  applicant->Start();
  ASSERT_TRUE(world_.RunUntil([&] { return waits_.size() == 1; }));
  EXPECT_EQ(waits_[0], Code::kUnreachable);
  desk_.says = Issued(issued_);
  GoUp();
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !ended_.empty(); }));
  EXPECT_EQ(ended_, std::vector{Issued(issued_)});
}

// The applicant's connection broke while the answer was on its way: it asks again, and the aggregator is not asked
// twice.
TEST_F(EnrolmentRelayTest, AFinalAnswerIsRememberedForAWhile) {
  GoUp();
  desk_.says = Issued(issued_);
  std::vector<EnrolmentAnswer> answers;
  const auto ask = [&] {
    relay_.Request(Sha256(kRequest), kRequest, DeviceId(),
                   [&](const EnrolmentAnswer& answer) { answers.push_back(answer); });
  };
  ask();
  ASSERT_TRUE(world_.RunUntil([&] { return answers.size() == 1; }));
  ask();
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[1], Issued(issued_));
  EXPECT_EQ(desk_.came.size(), 1u);
  world_.clock.Advance(EnrolmentRelay::Options().remember_for);
  ask();
  EXPECT_EQ(answers.size(), 2u);
}

TEST_F(EnrolmentRelayTest, ItsMemoryIsBounded) {
  GoUp();
  desk_.hold = true;
  const EnrolmentRelay::Options bounds;
  std::vector<EnrolmentAnswer> answers;
  const auto ask = [&](size_t number) {
    const Bytes request = ToBytes(AsBytes("request " + std::to_string(number)));
    relay_.Request(Sha256(request), request, DeviceId(),
                   [&](const EnrolmentAnswer& answer) { answers.push_back(answer); });
  };
  for (size_t i = 0; i <= bounds.max_under_way; ++i) ask(i);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].kind, Kind::kPending);
  EXPECT_EQ(answers[0].refusal.code, Code::kBusy);
  for (size_t i = 0; i < 2 * bounds.max_waiting_each; ++i) ask(0);
  ASSERT_TRUE(world_.RunUntil([&] { return desk_.held.size() == bounds.max_under_way; }));
  answers.clear();
  desk_.Release(RefusedFor(Code::kBadToken));
  desk_.hold = false;
  ASSERT_TRUE(world_.RunUntil([&] { return answers.size() == bounds.max_under_way + bounds.max_waiting_each - 1; }));
  for (size_t i = 0; i < 2 * bounds.max_remembered; ++i) {
    world_.clock.Advance(Millis(50));  // the server above takes 20 a second
    desk_.says = RefusedFor(Code::kBadToken);
    answers.clear();
    ask(1'000 + i);
    ASSERT_TRUE(world_.RunUntil([&] { return !answers.empty(); }));
  }
  // The newest answers are remembered, an older one is asked for again.
  answers.clear();
  ask(1'000 + 2 * bounds.max_remembered - 1);
  EXPECT_EQ(answers.size(), 1u);
  ask(1'000 + bounds.max_remembered - 1);
  EXPECT_EQ(answers.size(), 1u);
}

}  // namespace
}  // namespace tributary::enrolment_relay_test

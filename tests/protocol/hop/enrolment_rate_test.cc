#include <gtest/gtest.h>

#include "protocol/hop/client/applicant_client.h"
#include "tests/protocol/hop/fake_desk.h"
#include "tests/protocol/hop/hop_fixture.h"

// How often those without a certificate may ask for one.
namespace tributary::enrolment_rate_test {
namespace {

using Kind = EnrolmentAnswer::Kind;

// Every test in which clients wait does so in these steps.
constexpr Millis kStep{50};

HopServer::Options Allowing(Rate rate) {
  HopServer::Options options;
  options.transport.gate.enrolments_per_address = rate;
  return options;
}

class EnrolmentRateTest : public ::testing::Test {
 protected:
  void Listen(Rate rate) {
    server_ = std::make_unique<TestServer>(world_, Role::kAggregator, "aggregator", Allowing(rate));
    server_->Stop();
    server_->desk = &desk_;
    server_->Start();
  }
  // The answer to a request on a connection of its own.
  EnrolmentAnswer Ask(const Bytes& request, const std::string& from = "") {
    RawClient applicant(world_, *server_, GenerateCurveKeyPair().secret, from);
    EXPECT_TRUE(applicant.Greet());
    applicant.Send(hop::Enrol{request});
    const auto answer = applicant.Await<hop::EnrolAnswer>();
    EXPECT_TRUE(answer);
    return answer ? answer->answer : EnrolmentAnswer{};
  }
  EnrolmentAnswer AskAnew(const std::string& from = "") { return Ask(world_.random.TakeBytes(100), from); }
  void Issue() {
    desk_.says = [this] { return EnrolmentAnswer{Kind::kIssued, issued_.chain, {}}; };
  }
  void Refuse() {
    desk_.says = [] { return EnrolmentAnswer{Kind::kRefused, {}, {Code::kBadToken, "no", {}}}; };
  }
  std::unique_ptr<ApplicantClient> Applicant() {
    ApplicantClient::Options options;
    options.endpoint = server_->endpoint();
    options.server_key = server_->identity().subject.curve_public_key;
    auto applicant = std::make_unique<ApplicantClient>(
        ApplicantClient::Parts{world_.loop, world_.clock, world_.random, world_.fleet.anchor()}, options,
        world_.random.TakeBytes(100),
        ApplicantClient::Hooks{[this](const EnrolmentAnswer& answer) { ended_.push_back(answer.kind); },
                               [this](const Error& why, Millis) { waits_.push_back(why.code); }});
    applicant->Start();
    return applicant;
  }
  uint64_t PutOff() {
    const auto& counts = (*server_)->counts().turned_away;
    const auto found = counts.find(TurnedAway::kEnrolsTooFast);
    return found == counts.end() ? 0 : found->second;
  }

  HopWorld world_;
  FakeDesk desk_;
  Identity issued_ = world_.fleet.Issue(Role::kDevice, "device-1");
  std::vector<Kind> ended_;
  std::vector<Code> waits_;
  std::unique_ptr<TestServer> server_;
};

TEST_F(EnrolmentRateTest, AFloodFromOneAddressIsPutOffAndAnotherAddressIsServed) {
  Listen({1, 5});
  Refuse();
  for (int i = 0; i < 20; ++i) {
    const EnrolmentAnswer answer = AskAnew();
    ASSERT_EQ(answer.kind, Kind::kRefused);
    ASSERT_EQ(answer.refusal.code, i < 5 ? Code::kBadToken : Code::kTooFast) << i;
    if (i < 5) continue;
    EXPECT_EQ(answer.refusal.retry, HopServer::Options().enrolment_later);
    EXPECT_TRUE(IsTransient(answer.refusal.code));
  }
  EXPECT_EQ(desk_.came.size(), 5u);  // what the aggregator, and the way to it, had to do with it
  EXPECT_EQ(PutOff(), 15u);
  EXPECT_EQ(server_->Refused(Code::kTooFast), 15u);

  Issue();
  EXPECT_EQ(AskAnew("127.0.0.2").kind, Kind::kIssued);
  EXPECT_EQ(AskAnew().refusal.code, Code::kTooFast);
  world_.clock.Advance(Millis(1'000));
  EXPECT_EQ(AskAnew().kind, Kind::kIssued);
}

TEST_F(EnrolmentRateTest, WhoeverIsPendingAndAsksAgainAsItWasToldIsNotHit) {
  Listen({0.001, 3});
  const auto applicant = Applicant();  // asks every one to two seconds
  ASSERT_TRUE(world_.RunUntil([&] { return waits_.size() == 1; }));
  // Its neighbours use up all that the address may ask.
  while (AskAnew().refusal.code != Code::kTooFast) {
  }
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return waits_.size() == 6; }, kStep));
  Issue();
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !ended_.empty(); }, kStep));
  EXPECT_EQ(waits_, std::vector<Code>(6, Code::kPending));
  EXPECT_EQ(ended_, std::vector{Kind::kIssued});
  EXPECT_EQ(PutOff(), 1u);
}

TEST_F(EnrolmentRateTest, APendingRequestIsFreeOnceAndNotEarly) {
  Listen({0.001, 2});
  const Bytes request = world_.random.TakeBytes(100);
  EXPECT_EQ(Ask(request).refusal.code, Code::kPending);
  EXPECT_EQ(Ask(request).refusal.code, Code::kPending);  // early: the second that the address may ask
  EXPECT_EQ(Ask(request).refusal.code, Code::kTooFast);
  world_.clock.Advance(Millis(1'000));
  Refuse();
  EXPECT_EQ(Ask(request).refusal.code, Code::kBadToken);
  EXPECT_EQ(Ask(request).refusal.code, Code::kTooFast);
}

// A gateway without an uplink puts everybody off, also who has no token at all.
TEST_F(EnrolmentRateTest, WhoeverIsPutOffForAnotherReasonHasShownNothing) {
  Listen({0.001, 1});
  desk_.says = [] {
    return EnrolmentAnswer{Kind::kPending, {}, {Code::kUnreachable, "no uplink", {Millis(1), Millis(2)}}};
  };
  const Bytes request = world_.random.TakeBytes(100);
  EXPECT_EQ(Ask(request).refusal.code, Code::kUnreachable);
  world_.clock.Advance(Millis(1'000));
  EXPECT_EQ(Ask(request).refusal.code, Code::kTooFast);
}

TEST_F(EnrolmentRateTest, AllOfASiteBehindOneAddressGetThrough) {
  constexpr size_t kDevices = 20;
  Listen({1, 4});
  Issue();
  std::vector<std::unique_ptr<ApplicantClient>> devices;
  for (size_t i = 0; i < kDevices; ++i) devices.push_back(Applicant());
  ASSERT_TRUE(world_.RunUntil([&] { return ended_.size() + waits_.size() >= kDevices; }));
  EXPECT_EQ(ended_.size(), 4u);
  const Millis began = world_.clock.Monotonic();
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return ended_.size() == kDevices; }, kStep)) << ended_.size();
  EXPECT_EQ(ended_, std::vector<Kind>(kDevices, Kind::kIssued));
  for (const Code why : waits_) EXPECT_EQ(why, Code::kTooFast);
  // Sixteen at one a second, and what the last ones wait to ask again.
  EXPECT_LE(world_.clock.Monotonic() - began, Millis(120'000));
}

TEST_F(EnrolmentRateTest, MembersRenewAtAnyTime) {
  Listen({0.001, 1});
  EXPECT_EQ(AskAnew().refusal.code, Code::kPending);
  EXPECT_EQ(AskAnew().refusal.code, Code::kTooFast);
  RawClient member(world_, *server_, issued_);
  ASSERT_EQ(member.Introduce(issued_), std::nullopt);
  for (int i = 0; i < 5; ++i) {
    member.Send(hop::Enrol{world_.random.TakeBytes(100)});
    const auto answer = member.Await<hop::EnrolAnswer>();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->answer.refusal.code, Code::kPending);
  }
}

TEST_F(EnrolmentRateTest, AMemberThatFloodsIsPutOffAndTheOthersAreNot) {
  Listen({0.001, 1});
  Refuse();
  int brought = 0;
  RawClient member(world_, *server_, issued_);
  ASSERT_EQ(member.Introduce(issued_), std::nullopt);
  for (int i = 0; i < 200; ++i) {
    member.Send(hop::Enrol{world_.random.TakeBytes(100)});
    const auto answer = member.Await<hop::EnrolAnswer>();
    ASSERT_TRUE(answer);
    brought += answer->answer.refusal.code == Code::kBadToken ? 1 : 0;
  }
  EXPECT_LE(brought, 20) << "requests that all share the aggregator's time for";
  const Identity other = world_.fleet.Issue(Role::kDevice, "device-2");
  RawClient neighbour(world_, *server_, other);
  ASSERT_EQ(neighbour.Introduce(other), std::nullopt);
  neighbour.Send(hop::Enrol{world_.random.TakeBytes(100)});
  EXPECT_EQ(neighbour.Await<hop::EnrolAnswer>()->answer.refusal.code, Code::kBadToken);
}

TEST_F(EnrolmentRateTest, WhatIsRememberedOfApplicantsIsBounded) {
  HopServer::Options options = Allowing({0.001, 3});
  options.remembered_applicants = 1;
  server_ = std::make_unique<TestServer>(world_, Role::kAggregator, "aggregator", options);
  server_->Stop();
  server_->desk = &desk_;
  server_->Start();
  const Bytes first = world_.random.TakeBytes(100), second = world_.random.TakeBytes(100);
  EXPECT_EQ(Ask(first).refusal.code, Code::kPending);
  EXPECT_EQ(Ask(second).refusal.code, Code::kPending);
  world_.clock.Advance(Millis(1'000));
  EXPECT_EQ(Ask(second).refusal.code, Code::kPending);
  EXPECT_EQ(Ask(first).refusal.code, Code::kPending);  // forgotten: the third that the address may ask
  EXPECT_EQ(Ask(first).refusal.code, Code::kTooFast);
}

}  // namespace
}  // namespace tributary::enrolment_rate_test

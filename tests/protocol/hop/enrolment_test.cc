#include <gtest/gtest.h>

#include "protocol/hop/client/applicant_client.h"
#include "gateway/relay/enrolment_relay.h"
#include "protocol/trust/seal/digest.h"
#include "tests/protocol/hop/hop_fixture.h"

namespace tributary::hop_enrolment_test {
namespace {

using Kind = EnrolmentAnswer::Kind;

const Bytes kRequest = ToBytes(AsBytes("a sealed request"));

EnrolmentAnswer Issued(const Identity& identity) { return {Kind::kIssued, identity.chain, {}}; }
EnrolmentAnswer Pending(RetryWindow window = {Millis(1'000), Millis(2'000)}) {
  return {Kind::kPending, {}, {Code::kPending, "an operator will look at it", window}};
}
EnrolmentAnswer RefusedFor(Code code) { return {Kind::kRefused, {}, {code, "no", {}}}; }

// Answers what the test says, at once or when it is told to.
struct FakeDesk final : EnrolmentDesk {
  void Request(const Digest& id, Bytes sealed_request, const DeviceId& via,
               std::function<void(const EnrolmentAnswer&)> answer) override {
    EXPECT_EQ(id, Sha256(sealed_request));
    came.emplace_back(std::move(sealed_request), via);
    if (hold) return held.push_back(std::move(answer));
    answer(says);
  }
  void Release(const EnrolmentAnswer& with) {
    for (auto& one : std::exchange(held, {})) one(with);
  }
  EnrolmentAnswer says = Pending();
  bool hold = false;
  std::vector<std::pair<Bytes, DeviceId>> came;
  std::vector<std::function<void(const EnrolmentAnswer&)>> held;
};

class HopEnrolmentTest : public ::testing::Test {
 protected:
  HopEnrolmentTest() {
    server_.Stop();
    server_.desk = &desk_;
    server_.Start();
  }
  std::unique_ptr<ApplicantClient> Applicant(const TestServer& server, const TrustAnchor& anchor) {
    ApplicantClient::Options options;
    options.endpoint = server.endpoint();
    options.server_key = server.identity().subject.curve_public_key;
    return std::make_unique<ApplicantClient>(
        ApplicantClient::Parts{world_.loop, world_.clock, world_.random, anchor}, options, kRequest,
        ApplicantClient::Hooks{[this](const EnrolmentAnswer& answer) { ended_.push_back(answer); },
                               [this](const Error& why, Millis) { waits_.push_back(why.code); }});
  }

  HopWorld world_;
  FakeDesk desk_;
  TestServer server_{world_, Role::kAggregator, "aggregator"};
  Identity issued_ = world_.fleet.Issue(Role::kDevice, "device-1");
  std::vector<EnrolmentAnswer> ended_;
  std::vector<Code> waits_;
};

TEST_F(HopEnrolmentTest, AnApplicantHasItsCertificateWhenTheDeskIssuesIt) {
  desk_.says = Issued(issued_);
  const auto applicant = Applicant(server_, world_.fleet.anchor());
  applicant->Start();
  ASSERT_TRUE(world_.RunUntil([&] { return !ended_.empty(); }));
  EXPECT_EQ(ended_, std::vector{Issued(issued_)});
  EXPECT_EQ(desk_.came, (std::vector<std::pair<Bytes, DeviceId>>{{kRequest, DeviceId()}}));
  EXPECT_EQ(server_->counts().handshakes, 0u);
}

TEST_F(HopEnrolmentTest, AnApplicantAsksAgainWithTheSameBytesUntilItIsDecided) {
  const auto applicant = Applicant(server_, world_.fleet.anchor());
  applicant->Start();
  ASSERT_TRUE(world_.RunUntil([&] { return waits_.size() == 1; }));
  for (int i = 0; i < 20; ++i) world_.Turn();
  EXPECT_EQ(desk_.came.size(), 1u);  // not before the window
  world_.clock.Advance(Millis(2'000));
  ASSERT_TRUE(world_.RunUntil([&] { return waits_.size() == 2; }));
  desk_.says = Issued(issued_);
  world_.clock.Advance(Millis(2'000));
  ASSERT_TRUE(world_.RunUntil([&] { return !ended_.empty(); }));
  EXPECT_EQ(waits_, (std::vector{Code::kPending, Code::kPending}));
  ASSERT_EQ(desk_.came.size(), 3u);
  for (const auto& [request, via] : desk_.came) EXPECT_EQ(request, kRequest);
}

TEST_F(HopEnrolmentTest, ARefusalForGoodIsFinalAndAPassingOneIsNot) {
  desk_.says = RefusedFor(Code::kTooFast);
  const auto applicant = Applicant(server_, world_.fleet.anchor());
  applicant->Start();
  ASSERT_TRUE(world_.RunUntil([&] { return waits_.size() == 1; }));
  EXPECT_EQ(waits_[0], Code::kTooFast);
  desk_.says = RefusedFor(Code::kBadToken);
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !ended_.empty(); }));
  EXPECT_EQ(ended_[0].refusal.code, Code::kBadToken);
  world_.clock.Advance(Millis(100'000));
  for (int i = 0; i < 20; ++i) world_.Turn();
  EXPECT_EQ(ended_.size(), 1u);
  EXPECT_EQ(desk_.came.size(), 2u);
}

TEST_F(HopEnrolmentTest, AnApplicantGivesItsRequestToNobodyButAServerOfTheFleet) {
  const TestFleet other;
  const auto wrong_fleet = Applicant(server_, other.anchor());
  wrong_fleet->Start();
  ASSERT_TRUE(world_.RunUntil([&] { return waits_.size() == 1; }));
  EXPECT_EQ(waits_[0], Code::kUnknownCertificate);

  TestServer device(world_, Role::kDevice, "device-9");
  const auto wrong_role = Applicant(device, world_.fleet.anchor());
  wrong_role->Start();
  ASSERT_TRUE(world_.RunUntil([&] { return waits_.size() == 2; }));
  EXPECT_EQ(waits_[1], Code::kWrongRole);
  EXPECT_TRUE(desk_.came.empty());
}

TEST_F(HopEnrolmentTest, AServerWithoutADeskSaysSo) {
  TestServer plain(world_, Role::kGateway, "gateway-2");
  const auto applicant = Applicant(plain, world_.fleet.anchor());
  applicant->Start();
  ASSERT_TRUE(world_.RunUntil([&] { return !ended_.empty(); }));
  EXPECT_EQ(ended_[0].refusal.code, Code::kNotSupported);
}

TEST_F(HopEnrolmentTest, AnApplicantComesBackAfterTheServerRestarts) {
  desk_.hold = true;
  const auto applicant = Applicant(server_, world_.fleet.anchor());
  applicant->Start();
  ASSERT_TRUE(world_.RunUntil([&] { return desk_.held.size() == 1; }));
  server_.Stop();
  ASSERT_TRUE(world_.RunUntil([&] { return waits_.size() == 1; }));
  desk_.Release(Issued(issued_));  // to a server that is gone
  desk_.hold = false;
  desk_.says = Issued(issued_);
  server_.Start();
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !ended_.empty(); }));
  EXPECT_EQ(ended_, std::vector{Issued(issued_)});
}

TEST_F(HopEnrolmentTest, AnApplicantHoldsItsSessionForOneRequestAndNotForLong) {
  desk_.hold = true;
  RawClient twice(world_, server_, GenerateCurveKeyPair().secret);
  ASSERT_TRUE(twice.Greet());
  twice.Send(hop::Enrol{kRequest});
  twice.Send(hop::Enrol{kRequest});
  EXPECT_EQ(twice.AwaitRefused(), Code::kMalformed);

  RawClient slow(world_, server_, GenerateCurveKeyPair().secret);
  ASSERT_TRUE(slow.Greet());
  slow.Send(hop::Enrol{kRequest});
  ASSERT_TRUE(world_.RunUntil([&] { return desk_.held.size() == 2; }));
  world_.clock.Advance(Millis(20'000));  // longer than anybody else may take for the proof
  for (int i = 0; i < 20; ++i) world_.Turn();
  EXPECT_TRUE(slow.received.empty());
  world_.clock.Advance(Millis(11'000));
  EXPECT_EQ(slow.AwaitRefused(), Code::kTimeout);
  desk_.Release(Issued(issued_));
  for (int i = 0; i < 20; ++i) world_.Turn();
  EXPECT_TRUE(slow.received.empty());
}

TEST_F(HopEnrolmentTest, NothingButEnrolmentIsForApplicants) {
  RawClient applicant(world_, server_, GenerateCurveKeyPair().secret);
  applicant.Send(hop::Enrol{kRequest});  // before the hello
  EXPECT_EQ(applicant.AwaitRefused(), Code::kNoSession);
  ASSERT_TRUE(applicant.Greet());
  applicant.Send(hop::Enrol{kRequest});
  ASSERT_TRUE(applicant.Await<hop::EnrolAnswer>());
  applicant.Send(hop::CheckIn{});
  EXPECT_EQ(applicant.AwaitRefused(), Code::kNoSession);
  EXPECT_TRUE(server_.check_ins.empty());
}

// ---- in a session

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

TEST_F(EnrolmentRelayTest, AMemberRenewsInItsSession) {
  desk_.says = Issued(issued_);
  GoUp();
  std::vector<EnrolmentAnswer> answers;
  ASSERT_TRUE(uplink_.client().Enrol(kRequest, [&](const EnrolmentAnswer& answer) { answers.push_back(answer); }));
  ASSERT_TRUE(world_.RunUntil([&] { return !answers.empty(); }));
  EXPECT_EQ(answers, std::vector{Issued(issued_)});
  EXPECT_EQ(desk_.came, (std::vector<std::pair<Bytes, DeviceId>>{{kRequest, gateway_.subject.id}}));
  EXPECT_TRUE(uplink_.client().up());
}

TEST_F(EnrolmentRelayTest, WhoAskedHearsThatTheSessionEnded) {
  desk_.hold = true;
  const auto ignore = [](const EnrolmentAnswer&) {};
  EXPECT_EQ(uplink_.client().Enrol(kRequest, ignore).error().code, Code::kUnreachable);
  GoUp();
  std::vector<EnrolmentAnswer> answers;
  ASSERT_TRUE(uplink_.client().Enrol(kRequest, [&](const EnrolmentAnswer& answer) { answers.push_back(answer); }));
  ASSERT_TRUE(world_.RunUntil([&] { return desk_.held.size() == 1; }));
  server_.Stop();
  ASSERT_TRUE(world_.RunUntil([&] { return !answers.empty(); }));
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].kind, Kind::kPending);
  EXPECT_EQ(answers[0].refusal.code, Code::kUnreachable);
  EXPECT_GT(answers[0].refusal.retry.max, Millis(0));
}

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
  EXPECT_EQ(relay_.counts().passed_up, 2u);
  EXPECT_EQ(relay_.counts().issued, 1u);
  EXPECT_EQ(relay_.counts().put_off, 1u);
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
  EXPECT_EQ(relay_.remembered(), 0u);
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
    desk_.says = RefusedFor(Code::kBadToken);
    answers.clear();
    ask(1'000 + i);
    ASSERT_TRUE(world_.RunUntil([&] { return !answers.empty(); }));
    ASSERT_LE(relay_.remembered(), bounds.max_remembered);
  }
}

}  // namespace
}  // namespace tributary::hop_enrolment_test

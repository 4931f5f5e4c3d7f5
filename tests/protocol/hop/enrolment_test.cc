#include <gtest/gtest.h>

#include "tests/protocol/hop/enrolment_fixture.h"

namespace tributary::hop_enrolment_test {
namespace {

TEST_F(HopEnrolmentTest, AnApplicantHasItsCertificateWhenTheDeskIssuesIt) {
  desk_.says = Issued(issued_);
  const auto applicant = Applicant(server_, world_.fleet.anchor());
  applicant->Start();
  ASSERT_TRUE(world_.RunUntil([&] { return !ended_.empty(); }));
  EXPECT_EQ(ended_, std::vector{Issued(issued_)});
  EXPECT_EQ(desk_.came, (std::vector<std::pair<Bytes, DeviceId>>{{kRequest, DeviceId()}}));
  EXPECT_EQ(server_->counts().handshakes, 0u);
}

TEST_F(HopEnrolmentTest, AnApplicantHearsAtOnceThatNobodyTakesConnections) {
  const auto applicant = Applicant(server_, world_.fleet.anchor());
  server_.Stop();
  applicant->Start();
  // The clock stands still: this is not its patience.
  ASSERT_TRUE(world_.RunUntil([&] { return !waits_.empty(); }));
  EXPECT_EQ(waits_[0], Code::kUnreachable);
  server_.Start();
  desk_.says = Issued(issued_);
  EXPECT_TRUE(world_.RunUntilWithTime([&] { return !ended_.empty(); }));
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

class MemberEnrolmentTest : public HopEnrolmentTest {
 protected:
  void GoUp() {
    uplink_.client().Start();
    ASSERT_TRUE(world_.RunUntil([&] { return uplink_.client().up(); }));
  }

  Identity gateway_ = world_.fleet.Issue(Role::kGateway, "gateway-1");
  TestSender uplink_{world_, gateway_, world_.folder / "spool", server_.Address()};
};

TEST_F(MemberEnrolmentTest, AMemberRenewsInItsSession) {
  desk_.says = Issued(issued_);
  GoUp();
  std::vector<EnrolmentAnswer> answers;
  ASSERT_TRUE(uplink_.client().Enrol(kRequest, [&](const EnrolmentAnswer& answer) { answers.push_back(answer); }));
  ASSERT_TRUE(world_.RunUntil([&] { return !answers.empty(); }));
  EXPECT_EQ(answers, std::vector{Issued(issued_)});
  EXPECT_EQ(desk_.came, (std::vector<std::pair<Bytes, DeviceId>>{{kRequest, gateway_.subject.id}}));
  EXPECT_TRUE(uplink_.client().up());
}

TEST_F(MemberEnrolmentTest, WhoAskedHearsThatTheSessionEnded) {
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

}  // namespace
}  // namespace tributary::hop_enrolment_test

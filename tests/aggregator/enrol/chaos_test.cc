#include <gtest/gtest.h>

#include "protocol/trust/identity/revocation_list.h"
#include "tests/aggregator/enrol/enrol_fixture.h"

// Anything that people and applicants do, in any order: tokens are never used more often than they say, answers stay
// the same, who was revoked stays so, and the list's numbers grow.
namespace tributary::chaos_test {
namespace {

using Kind = EnrolmentAnswer::Kind;

class Chaos : private EnrolFixture {
 public:
  explicit Chaos(uint64_t seed) : dice_(seed) {
    secrets_ = {MakeToken("open", 2), MakeToken("closed", 2, false), MakeToken("gateways", 1, true, Role::kGateway)};
  }

  void Step() {
    const DeviceId id = TestDevice("m" + std::to_string(Roll(kMembers)));
    switch (Roll(9)) {
      case 0:
      case 1:
      case 2:
        return AskAnew(Roll(kMembers));
      case 3:
      case 4:
        return AskAgain();
      case 5:
        return Renew();
      case 6:
        return (void)(Roll(2) == 0 ? enrolment().operators().Approve(id, "anna")
                                   : enrolment().operators().RefuseEnrolment(id, "no", "anna"));
      case 7:
        if (Roll(3) == 0 && enrolment().operators().Revoke(id, "stolen", "anna")) revoked_.insert(id);
        return;
      default:
        if (Roll(2) == 0) return Reopen();
        clock.Advance(std::chrono::hours(1));
        enrolment().Tick();
    }
  }

  void Check() {
    std::map<std::string, uint32_t> members;
    for (const EnrolledMember& member : Must(enrolment().operators().EnrolledMembers())) {
      ++members[member.token];
      EXPECT_EQ(member.state == EnrolmentState::kRevoked, revoked_.contains(member.id)) << member.id.text();
    }
    for (const EnrolmentTokenRecord& token : Must(enrolment().operators().Tokens())) {
      EXPECT_LE(token.used, token.uses) << token.id;
      EXPECT_LE(members[token.id], token.used) << token.id << ": each member cost a use";
    }
    for (const auto& [chain, id] : issued_) EXPECT_EQ(Verify(chain).has_value(), !revoked_.contains(id)) << id.text();
    if (revoked_.empty()) return;
    const uint64_t number = Must(ReadRevocations(enrolment().Revocations(), fleet.anchor())).issuers.at(0).number;
    EXPECT_GE(number, number_);
    number_ = number;
  }

 private:
  static constexpr uint64_t kMembers = 5;

  uint64_t Roll(uint64_t sides) { return dice_.Below(sides); }

  void AskAnew(uint64_t who) {
    Send(Ask(applicants_[who], secrets_[Roll(secrets_.size())],
             "m" + std::to_string(Roll(4) == 0 ? Roll(kMembers) : who)));
  }
  void AskAgain() {
    if (!sent_.empty()) Send(Bytes(std::next(sent_.begin(), static_cast<int64_t>(Roll(sent_.size())))->first));
  }
  void Renew() {
    if (issued_.empty()) return;
    const auto& [chain, id] = *std::next(issued_.begin(), static_cast<int64_t>(Roll(issued_.size())));
    if (!fleet.anchor().Verify(chain, clock.Now())) return;
    for (const Applicant& applicant : applicants_) {
      const VerifiedIdentity holder = Must(fleet.anchor().Verify(chain, clock.Now()));
      if (holder.public_key != applicant.key.public_key()) continue;
      return Send(
          Must(SealRenewal(IdentityOf(applicant, chain), target(), clock.Now(), GenerateCurveKeyPair().public_key)));
    }
  }

  void Send(const Bytes& request) {
    const EnrolmentAnswer answer = Decide(request);
    std::vector<Bytes>& before = sent_[request];
    if (answer.kind != Kind::kIssued) {
      if (before.empty()) return;
      const Code code = RefusalOf(answer);  // what was given goes on being given, but to whom an operator said no
      EXPECT_TRUE(code == Code::kRevokedCertificate || code == Code::kForbidden) << Name(code);
      return;
    }
    const auto holder = fleet.anchor().Verify(answer.chain, clock.Now());
    ASSERT_TRUE(holder);
    EXPECT_FALSE(revoked_.contains(holder->subject.id)) << "nothing for " << holder->subject.id.text();
    if (!before.empty()) {
      EXPECT_EQ(answer.chain, before);
    }
    before = answer.chain;
    issued_.emplace(answer.chain, holder->subject.id);
  }

  SeededRandom dice_;
  const std::vector<Applicant> applicants_ = std::vector<Applicant>(kMembers);
  std::vector<std::string> secrets_;
  std::map<Bytes, std::vector<Bytes>> sent_;
  std::map<std::vector<Bytes>, DeviceId> issued_;
  std::set<DeviceId> revoked_;
  uint64_t number_ = 0;
};

TEST(EnrolChaos, KeepsItsPromises) {
  for (uint64_t seed = 1; seed <= 12 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Chaos chaos(seed);
    for (int step = 0; step < 80 && !testing::Test::HasFailure(); ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      chaos.Step();
      chaos.Check();
    }
  }
}

}  // namespace
}  // namespace tributary::chaos_test

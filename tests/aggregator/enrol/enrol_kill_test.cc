#include <algorithm>
#include <csignal>
#include <fstream>
#include <functional>

#include <gtest/gtest.h>

#include "protocol/trust/identity/revocation_list.h"
#include "tests/aggregator/enrol/enrol_fixture.h"
#include "tests/support/in_child.h"

// A SIGKILL at every pass of every named point of enrolment: around the commits of tokens, members and lists, and
// between the files of a sealing key. A second process goes on, as after a restart, and must end where an undisturbed
// run ends: no use of a token lost or counted twice, nobody half a member, no list with a number that was given before.
namespace tributary::enrol_kill_test {
namespace {

const std::vector<std::string> kPoints = {
    "aggregator.enrol.before_commit",   "aggregator.enrol.committed",  "aggregator.enrol.list_before_commit",
    "aggregator.enrol.list_committed",  "aggregator.enrol.token_made", "aggregator.sealing.key_written",
    "aggregator.sealing.index_written",
};

// The steps of people and applicants, each repeating what it has no answer to. Applicants' keys and requests are the
// fixture's parent's, so they are the same in both lives.
struct Story {
  Applicant open, waiting;
};

void Token(EnrolFixture& fixture, const std::string& id, const std::function<void(const std::string&)>& use) {
  const Path kept = fixture.folder / (id + ".secret");
  std::string secret;
  std::ifstream(kept) >> secret;
  const auto tokens = Must(fixture.enrolment().operators().Tokens());
  const bool known = std::ranges::any_of(tokens, [&](const auto& token) { return token.id == id; });
  if (known && secret.empty()) Must(fixture.enrolment().operators().RemoveToken(id));  // nobody ever saw its secret
  if (secret.empty()) {
    secret = fixture.MakeToken(id, 1, id == "open");
    std::ofstream(kept) << secret;
  }
  use(secret);
}

// Sealed once and kept, as an identity folder does.
Bytes Kept(EnrolFixture& fixture, const std::string& name, const std::function<Bytes()>& make) {
  const Path file = fixture.folder / (name + ".request");
  if (const auto kept = ReadFile(RealFileSystem(), file, 1 << 16)) return *kept;
  const Bytes made = make();
  Must(WriteFileAtomically(RealFileSystem(), file, made));
  return made;
}

void Live(EnrolFixture& fixture, const Story& story) {
  Token(fixture, "open", [&](const std::string& secret) {
    const Bytes request = Kept(fixture, "open", [&] { return fixture.Ask(story.open, secret, "d1"); });
    const EnrolmentAnswer answer = fixture.Decide(request);
    TRIBUTARY_CHECK(answer.kind == EnrolmentAnswer::Kind::kIssued || answer.refusal.code == Code::kRevokedCertificate)
        << answer.refusal.sentence;
  });
  Token(fixture, "closed", [&](const std::string& secret) {
    const Bytes request = Kept(fixture, "closed", [&] { return fixture.Ask(story.waiting, secret, "d2"); });
    fixture.Decide(request);
    if (Must(fixture.enrolment().operators().Find(TestDevice("d2"))).state == EnrolmentState::kPending) {
      Must(fixture.enrolment().operators().Approve(TestDevice("d2"), "anna"));
    }
    TRIBUTARY_CHECK(fixture.Decide(request).kind == EnrolmentAnswer::Kind::kIssued);
  });
  Must(fixture.enrolment().operators().Revoke(TestDevice("d1"), "stolen", "anna"));
  if (fixture.keys().Former(fixture.clock.Now()).empty()) {
    Must(fixture.keys().Rotate(fixture.clock.Now(), std::chrono::hours(1)));
  }
}

void CheckTheEnd(EnrolFixture& fixture) {
  for (const EnrolmentTokenRecord& token : Must(fixture.enrolment().operators().Tokens())) {
    TRIBUTARY_CHECK(token.used == 1) << token.id << " used " << token.used;
  }
  const auto members = Must(fixture.enrolment().operators().EnrolledMembers());
  TRIBUTARY_CHECK(members.size() == 2) << members.size();
  TRIBUTARY_CHECK(members[0].state == EnrolmentState::kRevoked && members[1].state == EnrolmentState::kActive);
  const auto list = Must(ReadRevocations(fixture.enrolment().Revocations(), fixture.fleet.anchor()));
  TRIBUTARY_CHECK(list.issuers.at(0).number == 1) << list.issuers.at(0).number;
  TRIBUTARY_CHECK(list.issuers.at(0).serials == std::set<std::string>{members[0].serial});
  TRIBUTARY_CHECK(fixture.keys().Former(fixture.clock.Now()).size() == 1);
}

// Opened in children only: a database must not be used on both sides of a fork.
class Lives {
 public:
  int First(const char* name, const std::string& value, bool check) {
    return InChild(name, value, [&] {
      fixture_.Reopen();
      Live(fixture_, story_);
      if (check) CheckTheEnd(fixture_);
    });
  }
  int Second() { return First(nullptr, {}, true); }

 private:
  EnrolFixture fixture_{true, false};
  Story story_;
};

TEST(EnrolKills, AKillAtEveryPointEndsWhereAnUndisturbedRunEnds) {
  const TemporaryFolder notes;
  Lives undisturbed;
  ASSERT_EQ(undisturbed.First("TRIBUTARY_FAULT_TRACE", (notes / "trace").string(), true), 0);
  std::map<std::string, int> passes;
  std::ifstream trace(notes / "trace");
  for (std::string line; std::getline(trace, line);) {
    if (line.starts_with("aggregator.")) ++passes[line];
  }
  for (const std::string& point : kPoints) EXPECT_GT(passes[point], 0) << point << " is never passed";
  EXPECT_EQ(passes.size(), kPoints.size()) << "a point is missing in this test's list";
  for (const auto& [point, times] : passes) {
    for (int time = 1; time <= times; ++time) {
      Lives lives;
      EXPECT_EQ(lives.First("TRIBUTARY_FAULT", point + ":" + std::to_string(time), false), SIGKILL) << point;
      EXPECT_EQ(lives.Second(), 0) << point << ":" << time;
    }
  }
}

}  // namespace
}  // namespace tributary::enrol_kill_test

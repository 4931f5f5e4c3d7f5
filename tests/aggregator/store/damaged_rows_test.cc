#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aggregator/store/enrolment_store.h"
#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/classified.h"
#include "tests/support/damaged_database.h"
#include "tests/support/must.h"
#include "tests/support/sanitized.h"

// With any value in a row: the aggregator starts or says why not, and everything that it is asked is answered, with
// what it is or with an error. Nothing ends the process.
namespace tributary::damaged_rows_test {
namespace {

// An error that a damaged row may make: it says so, or somebody is told what his own upload lacks.
template <class Answer>
void Expect(const Answer& answer, const std::string& what, std::set<std::string>& told) {
  if (answer) return;
  EXPECT_NE(answer.error().message, "") << what;
  told.insert(what);
}

class DamagedRowsTest : public testing::Test, protected RoundFixture {
 protected:
  static DeviceState StateOf(uint64_t sequence) {
    DeviceState state;
    state.sequence = sequence;
    state.boots = 1;
    return state;
  }
  // A round that is over, one that failed, one that is open; evaluations of both kinds; gateways, states, refusals.
  void Fill() {
    CreateTask({.report_goal = 2, .minimum = 1, .deadline_seconds = 60});
    Must(core().rounds().Start(task_id, 3));
    const auto result = [](EvaluatedModel model) { return Classified(model, 10, 1, 0.5, 5); };
    Must(Give(Evaluation("d1", ModelVersion{1}, {result(EvaluatedModel::kGlobal), result(EvaluatedModel::kPersonal)})));
    Must(Give(Update(1, ModelVersion{1})));
    EXPECT_FALSE(Give(Update(3, ModelVersion{1}, {.weight = 0})));
    Must(Give(Update(2, ModelVersion{1})));
    Must(Give(Evaluation("e1", ModelVersion{2}, {result(EvaluatedModel::kGlobal)}), Role::kEvaluator));
    Must(Give(Update(1, ModelVersion{2})));
    DeviceState state = StateOf(1);
    state.failures[task_id] = {Code::kFewExamples, "too few", 1, ModelVersion{2}, clock.Now()};
    Must(Give(State("d9", state)));
    GatewayState gateway;
    gateway.gateway = TestDevice("g1");
    core().fleet().SawGateways({gateway}, TestDevice("g1"));
    Pass(Millis(2'000));
    Must(core().Flush());
  }

  void AskEverything(const std::string& what) {
    Expect(core().tasks().Versions(task_id), what, told_);
    Expect(core().rounds().List(task_id), what, told_);
    Expect(core().rounds().Get(task_id, 1), what, told_);
    Expect(core().rounds().NewestMeans(task_id), what, told_);
    Expect(core().fleet().Devices(), what, told_);
    Expect(core().fleet().Gateways(), what, told_);
    Expect(core().fleet().DeviceStates(), what, told_);
    for (const UploadKind kind : kUploadKinds) (void)core().fleet().Account(kind);
    const auto evaluation = Classified(EvaluatedModel::kGlobal, 10, 1, 0.5, 5);
    Expect(Give(Evaluation("d1", ModelVersion{2}, {evaluation})), what, told_);
    Expect(Give(State("d9", StateOf(2))), what, told_);
    Expect(Give(Update(2, ModelVersion{2})), what, told_);
    Expect(core().rounds().Start(task_id, 1), what, told_);
    Pass(Millis(70'000));
    Expect(core().Flush(), what, told_);
  }

  std::set<std::string> told_;
};

TEST_F(DamagedRowsTest, NoValueInAnyColumnEndsTheAggregator) {
  Fill();
  Close();
  size_t damages = 0, opened = 0;
  ForEachDamage(folder.path(), folder / "aggregator.db", [&](const std::string& what) {
    SCOPED_TRACE(what);
    ++damages;
    clock.Advance(Millis(1));
    const Status open = TryReopen();
    Expect(open, what, told_);
    if (!open) return;
    ++opened;
    AskEverything(what);
    Close();
  });
  EXPECT_GT(damages, kSanitized ? 50u : 250u);
  EXPECT_GT(opened, damages / (kSanitized ? 6 : 3));
  EXPECT_GT(told_.size(), kSanitized ? 10u : 80u) << "or nothing was damaged";
}

TEST(DamagedEnrolment, NoValueInAnyColumnEndsTheAggregator) {
  const TemporaryFolder folder;
  const Path file = folder / "enrolment.db";
  const DeviceId device = TestDevice("d1");
  Digest request;
  {
    const auto store = Must(EnrolmentStore::Open(file));
    StoredToken token;
    token.record.id = "spring";
    Must(store->tokens.Insert(token));
    StoredMember member;
    member.member.id = device;
    member.member.state = EnrolmentState::kActive;
    Must(store->members.Save(member));
    Must(store->members.InsertRequest({request, device, "01", {5}}));
    StoredCertificate certificate;
    certificate.issuer_public_key = Bytes(32, 1);
    certificate.serial = "01";
    certificate.member = device;
    certificate.chain = {Bytes(100, 2)};
    certificate.revoked = true;
    certificate.not_after = {99};
    Must(store->certificates.Insert(certificate));
    Must(store->certificates.SaveList({Bytes(32, 1), 3, {Bytes(100, 2)}, Bytes(10, 3), {99}}));
    Must(store->Probe({7}));
  }
  std::set<std::string> told;
  ForEachDamage(folder.path(), file, [&](const std::string& what) {
    const auto opened = EnrolmentStore::Open(file);
    Expect(opened, what, told);
    if (!opened) return;
    EnrolmentStore& store = **opened;
    Expect(store.tokens.All(), what, told);
    Expect(store.tokens.CountUse("spring"), what, told);
    Expect(store.members.All(), what, told);
    Expect(store.members.List(Role::kDevice, std::nullopt, {}), what, told);
    Expect(store.members.Find(device), what, told);
    Expect(store.members.CountByState(), what, told);
    Expect(store.members.FindRequest(request), what, told);
    Expect(store.certificates.OfMember(device), what, told);
    Expect(store.certificates.Revoked(Bytes(32, 1), {}), what, told);
    Expect(store.certificates.Lists(), what, told);
    Expect(store.Probe({8}), what, told);
  });
  EXPECT_GT(told.size(), kSanitized ? 10u : 80u) << "or nothing was damaged";
}

}  // namespace
}  // namespace tributary::damaged_rows_test

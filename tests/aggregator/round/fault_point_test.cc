#include <csignal>
#include <fstream>

#include <gtest/gtest.h>

#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/in_child.h"
#include "tests/support/classified.h"

// A SIGKILL at every pass of every named point of the aggregator's writing: between the steps of a checkpoint, around
// the database's commits, between a version's weights, its row and its publication. Each run goes on in a second
// process, as after a restart, and must end where an undisturbed one ends. All that touches the core happens in
// child processes: the points read their orders from the environment once in a process's life.
namespace tributary::fault_point_test {
namespace {

constexpr int kDevices = 5;
constexpr uint64_t kRounds = 2;

const std::vector<std::string> kPoints = {
    "aggregator.checkpoint.written",   "aggregator.checkpoint.synced",
    "aggregator.checkpoint.renamed",   "aggregator.checkpoint.before_commit",
    "aggregator.checkpoint.committed", "aggregator.checkpoint.old_removed",
    "aggregator.custody.told",         "aggregator.version.blob_written",
    "aggregator.turn.before_commit",   "aggregator.turn.committed",
    "aggregator.turn.published",       "aggregator.publication.number_saved",
    "aggregator.publication.written",  "aggregator.evaluation.before_commit",
    "aggregator.evaluation.committed", "aggregator.books.before_commit",
    "aggregator.books.committed",      "aggregator.kept_update.written",
    "aggregator.kept_update.synced",   "aggregator.reference.synced",
};

// With the last aggregate, and with updates that wait on disk.
TaskRecord TaskOf(RoundFixture& fixture) {
  TaskRecord task = fixture.NewTask({.report_goal = kDevices, .minimum = kDevices});
  task.robust = {.rule = RobustRuleName::kCentredClip, .bucket = kDevices};
  return task;
}

// Senders offer everything until it is counted for good.
void OfferAll(RoundFixture& fixture) {
  if (fixture.core().tasks().All()->empty()) {
    TRIBUTARY_CHECK(fixture.core().tasks().Create(TaskOf(fixture), fixture.PutInitialWeights()));
  }
  const auto begun = *fixture.core().rounds().List(fixture.task_id);
  if (begun.empty()) {
    TRIBUTARY_CHECK(fixture.core().rounds().Start(fixture.task_id, kRounds));
  }
  for (uint64_t version = 1; version <= kRounds; ++version) {
    const ModelVersion base{version};
    const std::vector<EvaluationResult> results = {Classified(EvaluatedModel::kGlobal, 10, 0, 0.5)};
    const SealedUpload evaluation = fixture.Evaluation("d1", base, results);
    const Status evaluated = fixture.Give(evaluation);
    TRIBUTARY_CHECK(evaluated || evaluated.error().code == Code::kDuplicate) << evaluated.error().ToString();
    for (int device = 1; device <= kDevices; ++device) {
      const SealedUpload upload = fixture.Update(device, base);
      if (!fixture.Admit(upload.header)) continue;
      TRIBUTARY_CHECK(fixture.Give(upload));
    }
    fixture.Pass(Millis(2000));
  }
}

// Dies, so fails its process, unless two rounds of every device are in two versions.
void CheckTheEnd(RoundFixture& fixture) {
  const auto versions = *fixture.core().tasks().Versions(fixture.task_id);
  TRIBUTARY_CHECK(versions.size() == kRounds + 1) << versions.size() << " versions";
  const auto rounds = *fixture.core().rounds().List(fixture.task_id);
  for (const RoundRecord& round : rounds) {
    TRIBUTARY_CHECK(round.state == RoundState::kCompleted) << RoundStateName(round.state);
    TRIBUTARY_CHECK(round.contributions == kDevices) << round.contributions;
  }
  TRIBUTARY_CHECK(fixture.core().fleet().Account(UploadKind::kUpdate).delivered == kRounds * kDevices);
  TRIBUTARY_CHECK(fixture.core().fleet().Account(UploadKind::kEvaluation).delivered == kRounds);
  fixture.CheckAccounts();
  TRIBUTARY_CHECK(RealFileSystem().List(fixture.folder / "checkpoints")->size() == 1) << "the last aggregate";
  const auto published =
      OpenPublication(fixture.core().publication().bytes(), fixture.fleet.anchor(), fixture.clock.Now());
  TRIBUTARY_CHECK(published && published->tasks.at(0).latest == ModelVersion{kRounds + 1});
}

// The versions of a run that is over, written by a child for its parent.
std::string DigestsOf(RoundFixture& fixture) {
  std::string digests;
  const auto versions = *fixture.core().tasks().Versions(fixture.task_id);
  for (const VersionRecord& version : versions) digests += version.weights.digest.hex() + "\n";
  return digests;
}
void WriteText(const Path& file, const std::string& text) { std::ofstream(file) << text; }
std::string ReadText(const Path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(FaultPoints, AKillAtEveryPassOfEveryPointEndsInTheSameBits) {
  TemporaryFolder notes;
  RoundFixture undisturbed(RoundFixture::kClosed);
  ASSERT_EQ(InChild("TRIBUTARY_FAULT_TRACE", (notes / "trace").string(),
                    [&] {
                      undisturbed.Reopen();
                      OfferAll(undisturbed);
                      CheckTheEnd(undisturbed);
                      WriteText(notes / "expected", DigestsOf(undisturbed));
                    }),
            0);
  const std::string expected = ReadText(notes / "expected");
  ASSERT_FALSE(expected.empty());

  std::map<std::string, int> passes;
  std::ifstream trace(notes / "trace");
  for (std::string line; std::getline(trace, line);) {
    if (line.starts_with("aggregator.")) ++passes[line];
  }
  for (const std::string& point : kPoints) EXPECT_GT(passes[point], 0) << point << " is never passed";
  EXPECT_EQ(passes.size(), kPoints.size()) << "a point is missing in this test's list";

  int kills = 0;
  for (const auto& [point, count] : passes) {
    for (int pass = 1; pass <= count; ++pass) {
      const std::string where = point + ":" + std::to_string(pass);
      RoundFixture fixture(RoundFixture::kClosed);
      const int killed = InChild("TRIBUTARY_FAULT", where, [&] {
        fixture.Reopen();
        OfferAll(fixture);
      });
      ASSERT_EQ(killed, SIGKILL) << where;
      ++kills;
      ASSERT_EQ(InChild(nullptr, "",
                        [&] {
                          fixture.random =
                              SeededRandom(2);  // a process that starts again does not repeat what was random
                          fixture.Reopen();
                          fixture.Pass(Millis(2000));  // finishes a closing that was interrupted
                          OfferAll(fixture);
                          CheckTheEnd(fixture);
                          WriteText(notes / "got", DigestsOf(fixture));
                        }),
                0)
          << where;
      ASSERT_EQ(ReadText(notes / "got"), expected) << where;
    }
  }
  EXPECT_GE(kills, 50);
  std::cout << kills << " kills at " << passes.size() << " points\n";
}

}  // namespace
}  // namespace tributary::fault_point_test

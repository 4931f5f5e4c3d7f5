#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include <gtest/gtest.h>

#include "tests/aggregator/round/private_fixture.h"
#include "tests/support/in_child.h"

// Two views: whatever the process dies of, at every change of a file and every named point of opening and closing a
// private round, a sum is seen under one noise only, and a noise with one sum only. A process that starts again draws
// other random numbers, so any noise that was not kept shows.
namespace tributary::private_crash_test {
namespace {

constexpr uint64_t kRounds = 2;
constexpr int kKilled = 137;

void Begin(PrivateFixture& fixture, const PrivacyPolicy& privacy) {
  if (Must(fixture.core().tasks().All()).empty()) fixture.CreatePrivate(privacy);
  if (Must(fixture.core().rounds().List(fixture.task_id)).empty())
    Must(fixture.core().rounds().Start(fixture.task_id, kRounds));
}

// Devices of their own for every version, who offer until they count.
void OfferEverything(PrivateFixture& fixture) {
  for (uint64_t version = 1; version <= kRounds; ++version) {
    for (int device = 1; device <= 3; ++device) {
      const SealedUpload upload = fixture.Update(static_cast<int>(version) * 10 + device, ModelVersion{version});
      if (!fixture.Admit(upload.header)) continue;
      TRIBUTARY_CHECK(fixture.Give(upload));
      if (device == 1) (void)fixture.core().Flush();
    }
    fixture.Pass(Millis(2000));
  }
}

// Every weights file that was ever complete: a version that was made twice from another noise, or another sum, would
// leave one more than there are versions.
size_t WeightFiles(PrivateFixture& fixture) {
  const auto names = Must(RealFileSystem().List(fixture.folder / "blobs"));
  return static_cast<size_t>(std::ranges::count_if(names, [&](const std::string& name) {
    const auto digest = Digest::FromHex(name);
    return digest && Must(fixture.core().tasks().blobs().Size(*digest)) == kTestParameters * sizeof(float);
  }));
}

void CheckTwoViews(PrivateFixture& fixture, const PrivacyPolicy& privacy) {
  const auto versions = Must(fixture.core().tasks().Versions(fixture.task_id));
  TRIBUTARY_CHECK(versions.size() == kRounds + 1) << versions.size();
  TRIBUTARY_CHECK(WeightFiles(fixture) == kRounds + 1) << WeightFiles(fixture) << " files of weights";
  const Ledger ledger = fixture.OpenLedger();
  const size_t charges = privacy.accounting == Accounting::kCorrelated ? 1 : kRounds;
  TRIBUTARY_CHECK(ledger.charges().size() == charges) << ledger.charges().size() << " charges";
  const PrivacyStanding standing = fixture.Standing();
  TRIBUTARY_CHECK(standing.versions.size() == kRounds && standing.lost == 0) << standing.versions.size();
  TRIBUTARY_CHECK(standing.spent == ledger.spent()) << standing.spent;
  // Of the finished sums, no noise is left that could be taken off again, but for the last one of a correlated run, which goes
  // on. Beside it: the ledger, and what is drawn ahead.
  const auto files = Must(RealFileSystem().List(fixture.folder / "privacy"));
  const size_t most = privacy.accounting == Accounting::kCorrelated ? 3 : 2;
  TRIBUTARY_CHECK(files.size() <= most) << testing::PrintToString(files);
  fixture.CheckAccounts();
}

const PrivacyPolicy kIndependent{.epsilon = 30, .noise = 1};
const PrivacyPolicy kCorrelated{
    .epsilon = 20, .accounting = Accounting::kCorrelated, .rounds = 100, .separation = 20, .accept_noise = true};

// Every `step`-th change of a file, from the first one on.
void KillAtFileOperations(const PrivacyPolicy& privacy, int64_t step, int64_t least) {
  int64_t kills = 0;
  for (int64_t at = 0;; at += step) {
    SCOPED_TRACE(at);
    PrivateFixture fixture;
    fixture.Close();
    const pid_t child = fork();
    if (child == 0) {
      fixture.Reopen();
      fixture.files.on_exhausted = [] { _exit(kKilled); };
      fixture.files.calls_left = at;
      Begin(fixture, privacy);
      OfferEverything(fixture);
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    fixture.random = SeededRandom(1000 + static_cast<uint64_t>(at));
    fixture.Reopen();
    fixture.Pass(Millis(2000));
    Begin(fixture, privacy);
    OfferEverything(fixture);
    CheckTwoViews(fixture, privacy);
    if (WEXITSTATUS(status) != kKilled) break;
    ++kills;
  }
  EXPECT_GE(kills, least);
}

TEST(PrivateCrash, AKillAtEveryFileOperationLeavesOneNoiseForOneSum) { KillAtFileOperations(kIndependent, 1, 50); }

// Most operations are those of above.
TEST(PrivateCrash, AKillAtFileOperationsOfACorrelatedRunLeavesOneNoiseForOneSum) {
  KillAtFileOperations(kCorrelated, 3, 15);
}

#ifdef TRIBUTARY_FAULT_POINTS
void KillAtFaultPoints(const PrivacyPolicy& privacy) {
  const TemporaryFolder notes;
  PrivateFixture undisturbed(RoundFixture::kClosed);
  ASSERT_EQ(InChild("TRIBUTARY_FAULT_TRACE", (notes / "trace").string(),
                    [&] {
                      undisturbed.Reopen();
                      Begin(undisturbed, privacy);
                      OfferEverything(undisturbed);
                      CheckTwoViews(undisturbed, privacy);
                    }),
            0);
  std::map<std::string, int> passes;
  std::ifstream trace(notes / "trace");
  for (std::string line; std::getline(trace, line);) {
    if (line.starts_with("aggregator.")) ++passes[line];
  }
  for (const char* point : {"aggregator.noise.synced", "aggregator.noise.drawn", "aggregator.privacy.charged",
                            "aggregator.version.blob_written", "aggregator.turn.before_commit"}) {
    EXPECT_GT(passes[point], 0) << point;
  }
  for (const auto& [point, count] : passes) {
    for (int pass = 1; pass <= count; ++pass) {
      const std::string where = point + ":" + std::to_string(pass);
      PrivateFixture fixture(RoundFixture::kClosed);
      ASSERT_EQ(InChild("TRIBUTARY_FAULT", where,
                        [&] {
                          fixture.Reopen();
                          Begin(fixture, privacy);
                          OfferEverything(fixture);
                        }),
                SIGKILL)
          << where;
      ASSERT_EQ(InChild(nullptr, "",
                        [&] {
                          fixture.random = SeededRandom(2);
                          fixture.Reopen();
                          fixture.Pass(Millis(2000));
                          Begin(fixture, privacy);
                          OfferEverything(fixture);
                          CheckTwoViews(fixture, privacy);
                        }),
                0)
          << where;
    }
  }
}

TEST(PrivateCrash, AKillAtEveryFaultPointLeavesOneNoiseForOneSum) { KillAtFaultPoints(kIndependent); }
#endif

}  // namespace
}  // namespace tributary::private_crash_test

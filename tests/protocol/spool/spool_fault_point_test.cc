#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "protocol/spool/spool.h"
#include "gateway/tools/spool_check.h"
#include "tests/protocol/spool/spool_fixture.h"

// A process that does everything a spool can do is killed at each point of protocol/base/fault_point.h, at its first,
// middle and last pass. It says what it was told; what it was told must be true afterwards.
namespace tributary::spool_fault_point_test {
namespace {

#ifdef TRIBUTARY_FAULT_POINTS

constexpr uint64_t kUploads = 9;
constexpr char kFolder[] = "SPOOL_FAULT_POINT_FOLDER";

// The last one is long enough to be synced while it is being written.
TestUpload Numbered(uint64_t number) {
  if (number == kUploads - 1) return MakeUpload(number, 5'000'000);
  return MakeUpload(number, number % 3 == 0 ? kSmall : kLarge);
}

enum class Told { kNothing, kCustody, kAskedToLeave, kDelivered, kDead, kAskedBack, kGone };

class Victim {
 public:
  explicit Victim(const Path& folder) : said_(folder / "said", std::ios::app) {
    std::filesystem::create_directories(folder / "spool" / "payloads");
    std::ofstream(folder / "spool" / "payloads" / "nobodys") << "x";
    spool_ = std::move(*Spool::Open({.folder = folder / "spool", .ballast_bytes = 50'000, .inline_limit = 10'000},
                                    RealFileSystem(), clock_, worker_));
  }

  void Work() {
    for (uint64_t number = 0; number < kUploads; ++number) Put(number);
    spool_->Probe([](const Status& status) { TRIBUTARY_CHECK(status.has_value()) << status.error().ToString(); });
    worker_.Run();
    for (const uint64_t number : {0, 1}) {
      Say(number, Told::kAskedToLeave);
      spool_->Delivered(Numbered(number).id(),
                        [&, number](const Status& status) { Answered(number, status, Told::kDelivered); });
      worker_.Run();
    }
    for (const uint64_t number : {2, 3, 4}) {
      Say(number, Told::kAskedToLeave);
      spool_->Drop(Numbered(number).id(), Code::kNotFinite,
                   [&, number](const Status& status) { Answered(number, status, Told::kDead); });
    }
    worker_.Run();
    for (const uint64_t number : {2, 3}) {
      Say(number, Told::kAskedBack);
      spool_->Requeue(Numbered(number).id(),
                      [&, number](const Status& status) { Answered(number, status, Told::kCustody); });
    }
    worker_.Run();
    Say(4, Told::kAskedToLeave);
    spool_->Purge(Numbered(4).id(), [&](const Result<uint64_t>& purged) {
      TRIBUTARY_CHECK(purged.has_value()) << purged.error().ToString();
      Say(4, Told::kGone);
    });
    worker_.Run();
  }

 private:
  void Put(uint64_t number) {
    const TestUpload upload = Numbered(number);
    spool_->Offer(upload.header, upload.envelope, nullptr);
    for (uint32_t chunk = 0; chunk < upload.header.subject.chunk_count; ++chunk) {
      spool_->Append(upload.id(), chunk, upload.Chunk(chunk), [&](const Result<AppendAnswer>& answer) {
        TRIBUTARY_CHECK(answer.has_value()) << answer.error().ToString();
        if (answer->complete) Say(number, Told::kCustody);
      });
    }
    worker_.Run();
  }
  void Answered(uint64_t number, const Status& status, Told told) {
    TRIBUTARY_CHECK(status.has_value()) << status.error().ToString();
    Say(number, told);
  }
  void Say(uint64_t number, Told told) { said_ << number << ' ' << static_cast<int>(told) << std::endl; }

  ManualClock clock_;
  QueueExecutor worker_;
  std::ofstream said_;
  std::unique_ptr<Spool> spool_;
};

// Runs in a process of its own.
TEST(SpoolFaultPointVictim, DISABLED_Works) {
  const char* folder = std::getenv(kFolder);
  ASSERT_NE(folder, nullptr);
  Victim(folder).Work();
}

// How a process ends that has `variable` in its environment.
int RunVictim(const Path& folder, const char* variable, const std::string& value) {
  const pid_t child = fork();
  if (child == 0) {
    setenv(kFolder, folder.c_str(), 1);
    setenv(variable, value.c_str(), 1);
    execl("/proc/self/exe", "victim", "--gtest_also_run_disabled_tests", "--gtest_brief=1",
          "--gtest_filter=SpoolFaultPointVictim.*", static_cast<char*>(nullptr));
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

std::map<std::string, int> Trace() {
  const TemporaryFolder folder;
  const Path file = folder / "trace";
  const int status = RunVictim(folder.path(), "TRIBUTARY_FAULT_TRACE", file.string());
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  std::map<std::string, int> passes;
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) ++passes[line];
  return passes;
}

std::vector<Told> WhatItWasTold(const Path& folder) {
  std::vector<Told> told(kUploads, Told::kNothing);
  std::ifstream lines(folder / "said");
  uint64_t number = 0;
  int what = 0;
  while (lines >> number >> what) told.at(number) = static_cast<Told>(what);
  return told;
}

void CheckAfterKill(const Path& folder) {
  const ManualClock clock;
  QueueExecutor worker;
  auto spool = Spool::Open({.folder = folder / "spool", .inline_limit = 10'000}, RealFileSystem(), clock, worker);
  ASSERT_TRUE(spool) << spool.error().ToString();
  EXPECT_TRUE((*spool)->Account().Balances());
  const auto check = CheckSpool(folder / "spool", RealFileSystem());
  EXPECT_TRUE(check->Sound());
  EXPECT_TRUE(check->orphans.empty());
  EXPECT_EQ(check->account.bytes, (*spool)->Account().bytes);
  std::map<UploadId, bool> kept;
  const auto letters = (*spool)->DeadLetters(100);
  for (const DeadLetter& letter : *letters) kept[letter.id] = letter.CanRequeue();
  const std::vector<Told> told = WhatItWasTold(folder);
  for (uint64_t number = 0; number < kUploads; ++number) {
    const TestUpload upload = Numbered(number);
    const bool here = (*spool)->ReadChunk(upload.id(), upload.header.subject.chunk_count - 1).has_value();
    const bool dead = kept.contains(upload.id()) && kept.at(upload.id());
    SCOPED_TRACE("upload " + std::to_string(number) + " was told " + std::to_string(static_cast<int>(told[number])));
    switch (told[number]) {
      case Told::kCustody:
        EXPECT_TRUE(here);
        break;
      case Told::kDead:
        EXPECT_TRUE(dead && !here);
        break;
      case Told::kAskedBack:
        EXPECT_TRUE(here != dead);
        break;
      case Told::kDelivered:
      case Told::kGone:
        EXPECT_FALSE(here || dead);
        break;
      case Told::kNothing:
      case Told::kAskedToLeave:
        break;  // either is right
    }
  }
}

TEST(SpoolFaultPoints, WhatWasSaidIsTrueAfterAKillAtEachOfThem) {
  const std::map<std::string, int> passes = Trace();
  for (const char* point : {"spool.payload.written", "spool.payload.synced_early", "spool.payload.synced",
                            "spool.folder.synced", "spool.index.before_commit", "spool.index.committed",
                            "spool.payload.removed", "spool.orphan.removed", "spool.ballast.written"}) {
    EXPECT_TRUE(passes.contains(point)) << point;
  }
  for (const auto& [point, count] : passes) {
    for (const int pass : std::set{1, (count + 1) / 2, count}) {
      SCOPED_TRACE(point + ":" + std::to_string(pass));
      const TemporaryFolder folder;
      const int status = RunVictim(folder.path(), "TRIBUTARY_FAULT", point + ":" + std::to_string(pass));
      ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
      CheckAfterKill(folder.path());
    }
  }
}

#endif

}  // namespace
}  // namespace tributary::spool_fault_point_test

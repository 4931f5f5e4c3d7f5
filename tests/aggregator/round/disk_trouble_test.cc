#include <sys/resource.h>

#include <csignal>

#include <gtest/gtest.h>

#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/classified.h"
#include "tests/support/flipped_byte.h"
#include "tests/support/must.h"

namespace tributary::disk_trouble_test {
namespace {

constexpr ModelVersion kV1{1};

// The kernel refuses to let any file of this process grow beyond so many bytes: for the database, an I/O error.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(uint64_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    TRIBUTARY_CHECK(getrlimit(RLIMIT_FSIZE, &before_) == 0);
    const rlimit now{bytes, before_.rlim_max};
    TRIBUTARY_CHECK(setrlimit(RLIMIT_FSIZE, &now) == 0);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

class DiskTroubleTest : public testing::Test, protected RoundFixture {
 protected:
  void Start(const RoundPolicy& policy) {
    CreateTask(policy);
    TRIBUTARY_CHECK(core().rounds().Start(task_id, 1));
  }
  Code HealthCode() { return CodeOf(core().Health()); }
  // The version that three updates make on a disk without trouble.
  static Digest Undisturbed() {
    RoundFixture fixture;
    fixture.CreateTask({.report_goal = 3});
    TRIBUTARY_CHECK(fixture.core().rounds().Start(fixture.task_id, 1));
    for (int device = 1; device <= 3; ++device) TRIBUTARY_CHECK(fixture.Give(fixture.Update(device, kV1)));
    return fixture.LatestDigest();
  }
};

class EveryDiskTrouble : public DiskTroubleTest, public testing::WithParamInterface<Code> {};

TEST_P(EveryDiskTrouble, DelaysCustodyRefusesForNowAndEndsInTheSameBits) {
  files.failure = GetParam();
  Start({.report_goal = 3});
  ASSERT_TRUE(Give(Update(1, kV1)));
  ASSERT_TRUE(core().Health());
  files.calls_left = 0;
  ASSERT_TRUE(Give(Update(2, kV1))) << "it is in the sum; its checkpoint waits";
  EXPECT_EQ(HealthCode(), GetParam());

  const KindAccount account = core().fleet().Account(UploadKind::kUpdate);
  for (int second = 0; second < 5; ++second) {
    const Code refused = CodeOf(Give(Update(3, kV1)));
    EXPECT_EQ(refused, GetParam());
    EXPECT_TRUE(IsTransient(refused)) << "a sender must not give up an upload because of this machine";
    EXPECT_EQ(CodeOf(Admit(Evaluation("d9", kV1, {{}}).header)), GetParam());
    Pass(Millis(1000));
  }
  EXPECT_TRUE(listener.custody.empty());
  EXPECT_EQ(LastRound().contributions, 2u);
  EXPECT_TRUE(LastRound().refused.empty()) << "passing: nobody's fault";
  EXPECT_EQ(core().fleet().Account(UploadKind::kUpdate).offered, account.offered);

  files.calls_left = -1;
  Pass(Millis(1000));
  EXPECT_TRUE(core().Health()) << "by itself";
  EXPECT_EQ(listener.custody.size(), 2u);
  ASSERT_TRUE(Give(Update(3, kV1)));
  EXPECT_EQ(LastRound().state, RoundState::kCompleted);
  EXPECT_EQ(listener.custody.size(), 3u);
  EXPECT_EQ(LatestDigest(), Undisturbed());
  EXPECT_TRUE(files.List(folder / "checkpoints")->empty());
  CheckAccounts();
}

INSTANTIATE_TEST_SUITE_P(
    Codes, EveryDiskTrouble, testing::Values(Code::kDiskFull, Code::kReadOnly, Code::kIo), [](const auto& test) {
      return std::string(test.param == Code::kDiskFull ? "Full" : test.param == Code::kReadOnly ? "ReadOnly" : "Io");
    });

TEST_F(DiskTroubleTest, AVersionThatDoesNotFitIsMadeLater) {
  Start({.report_goal = 3});
  ASSERT_TRUE(Give(Update(1, kV1)));
  ASSERT_TRUE(Give(Update(2, kV1)));
  // The third update closes the round. Wherever that stops, it is taken up again.
  files.calls_left = 8;
  ASSERT_TRUE(Give(Update(3, kV1)));
  EXPECT_EQ(LastRound().state, RoundState::kClosing);
  EXPECT_EQ(HealthCode(), Code::kDiskFull);
  EXPECT_EQ(CodeOf(Give(Update(4, kV1))), Code::kDiskFull);
  files.calls_left = -1;
  Pass(Millis(1000));
  EXPECT_EQ(LastRound().state, RoundState::kCompleted);
  EXPECT_EQ(LatestDigest(), Undisturbed());
  EXPECT_TRUE(core().Health());
}

TEST_F(DiskTroubleTest, ACheckpointThatWouldNotFitIsNotBegun) {
  Start({.report_goal = 3});
  ASSERT_TRUE(Give(Update(1, kV1)));
  files.free_bytes = limits::kMiB;
  const int64_t before = files.changes;
  ASSERT_TRUE(Give(Update(2, kV1)));
  EXPECT_EQ(HealthCode(), Code::kDiskFull);
  EXPECT_EQ(files.changes, before) << "what room is left is the database's";
  EXPECT_NE(core().Health().error().message.find("1048576 are free"), std::string::npos);
  files.free_bytes = 2 * limits::kMiB;
  Pass(Millis(1000));
  EXPECT_TRUE(core().Health());
  EXPECT_EQ(listener.custody.size(), 2u);
}

TEST_F(DiskTroubleTest, ADatabaseThatCannotWriteIsSaidAndPasses) {
  Start({.report_goal = 3});
  ASSERT_TRUE(Give(Update(1, kV1)));
  ASSERT_TRUE(Give(Update(2, kV1)));
  const size_t in_custody = listener.custody.size();
  {
    const FileSizeLimit limit(*RealFileSystem().Size(folder / "aggregator.db-wal"));
    ASSERT_TRUE(Give(Update(3, kV1))) << "it is in the sum";
    EXPECT_EQ(HealthCode(), Code::kIo);
    EXPECT_EQ(CodeOf(Give(Evaluation("d9", kV1, {{}}))), Code::kIo);
    Pass(Millis(3000));
    EXPECT_EQ(listener.custody.size(), in_custody);
    EXPECT_EQ(LastRound().state, RoundState::kCollecting);
    CheckAccounts();
  }
  Pass(Millis(1000));
  EXPECT_TRUE(core().Health());
  EXPECT_EQ(LastRound().state, RoundState::kCompleted);
  EXPECT_EQ(LatestDigest(), Undisturbed());
  EXPECT_EQ(listener.custody.size(), 3u);
  EXPECT_TRUE(files.List(folder / "checkpoints")->empty()) << "those of the failed attempts too";
  CheckAccounts();
}

TEST_F(DiskTroubleTest, AnEvaluationThatCouldNotBeStoredIsTakenLater) {
  Start({.report_goal = 3});
  const SealedUpload evaluation = Evaluation("d1", kV1, {Classified(EvaluatedModel::kGlobal, 10, 0, 0.5)});
  {
    const FileSizeLimit limit(*RealFileSystem().Size(folder / "aggregator.db-wal"));
    EXPECT_EQ(CodeOf(Give(evaluation)), Code::kIo);
    EXPECT_EQ(HealthCode(), Code::kIo);
  }
  EXPECT_EQ(CodeOf(Give(evaluation)), Code::kIo) << "until a write has succeeded";
  Pass(Millis(1000));
  EXPECT_TRUE(Give(evaluation));
  EXPECT_EQ(core().fleet().Account(UploadKind::kEvaluation).delivered, 1u);
  CheckAccounts();
}

TEST_F(DiskTroubleTest, AStartWithoutRoomForAPublicationGoesOn) {
  CreateTask({.report_goal = 1});
  const uint64_t number = core().publication().number();
  Close();
  ASSERT_TRUE(RealFileSystem().Remove(folder / "publication.bin"));
  files.calls_left = 0;
  Reopen();
  EXPECT_EQ(HealthCode(), Code::kDiskFull);
  EXPECT_TRUE(core().publication().bytes().empty()) << "nothing is handed out that is not on disk";
  files.calls_left = -1;
  Pass(Millis(1000));
  EXPECT_TRUE(core().Health());
  EXPECT_EQ(core().publication().number(), number + 1);
}

TEST_F(DiskTroubleTest, NothingIsAddedToWeightsThatTheDiskHasChanged) {
  Start({.report_goal = 3});
  const Path weights = core().tasks().blobs().PathOf(LatestDigest());
  const Bytes before = Must(ReadFile(RealFileSystem(), weights, limits::kMiB));
  Reopen();
  for (int device = 1; device <= 2; ++device) ASSERT_TRUE(Give(Update(device, kV1)));
  FlipAByte(weights);
  ASSERT_TRUE(Give(Update(3, kV1))) << "it is in the sum";
  EXPECT_EQ(HealthCode(), Code::kDamagedBlob);
  EXPECT_EQ(CodeOf(Give(Update(4, kV1))), Code::kDamagedBlob) << "and its sender comes again";
  Pass(Millis(2'000));
  Reopen();
  Pass(Millis(2'000));
  EXPECT_EQ(HealthCode(), Code::kDamagedBlob) << "also after a restart";
  EXPECT_EQ(LastRound().state, RoundState::kClosing);
  EXPECT_TRUE(RealFileSystem().Size(weights.string() + ".damaged"));
  // A person puts it back.
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), weights, before));
  Pass(Millis(2'000));
  EXPECT_TRUE(core().Health());
  EXPECT_EQ(LastRound().state, RoundState::kCompleted);
  EXPECT_EQ(LatestDigest(), Undisturbed());
}

}  // namespace
}  // namespace tributary::disk_trouble_test

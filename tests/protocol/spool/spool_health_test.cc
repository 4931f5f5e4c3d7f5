#include <gmock/gmock.h>

#include "protocol/spool/spool.h"
#include "tests/protocol/spool/spool_fixture.h"
#include "tests/support/power_disk.h"

namespace tributary::spool_health_test {
namespace {

using ::testing::HasSubstr;

Code CodeOf(const auto& result) { return result ? Code{} : result.error().code; }

TEST(SpoolHealth, AFailedPayloadWriteShowsUntilOneWorks) {
  SpoolFixture f;
  EXPECT_TRUE(f.spool->Health());
  f.disk.writes_left = 0;
  EXPECT_EQ(CodeOf(f.Put(MakeUpload(1, kLarge))), Code::kDiskFull);
  const Status bad = f.spool->Health();
  ASSERT_EQ(CodeOf(bad), Code::kDiskFull);
  EXPECT_THAT(bad.error().message, HasSubstr("what has custody is safe"));
  EXPECT_EQ(CodeOf(f.Probe()), Code::kDiskFull);
  EXPECT_EQ(CodeOf(f.spool->Health()), Code::kDiskFull);
  f.disk.writes_left = 1'000;
  ASSERT_TRUE(f.DropExpired());  // probes by itself
  EXPECT_TRUE(f.spool->Health());
  EXPECT_TRUE(f.Put(MakeUpload(1, kLarge)));
}

TEST(SpoolHealth, AFailedSyncShowsUntilOneWorks) {
  SpoolFixture f;
  f.disk.fail_sync = true;
  EXPECT_EQ(CodeOf(f.Put(MakeUpload(1, kLarge))), Code::kIo);
  EXPECT_EQ(CodeOf(f.spool->Health()), Code::kIo);
  f.disk.fail_sync = false;
  EXPECT_TRUE(f.Put(MakeUpload(2, kLarge)));
  EXPECT_TRUE(f.spool->Health());
}

TEST(SpoolHealth, TheBallastIsMadeWhenThereIsAmpleRoom) {
  SpoolFixture f({.ballast_bytes = 50'000});
  const Path ballast = f.options.folder / "ballast";
  f.disk.space = DiskSpace{100'000'000, 1'000'000'000};
  f.clock.Advance(std::chrono::seconds(2));
  ASSERT_TRUE(f.Probe());
  EXPECT_FALSE(std::filesystem::exists(ballast));
  f.disk.space = DiskSpace{900'000'000, 1'000'000'000};
  ASSERT_TRUE(f.Probe());
  EXPECT_EQ(std::filesystem::file_size(ballast), 50'000u);
  f.Open();
  ASSERT_TRUE(f.Probe());
  EXPECT_EQ(f.PayloadFileCount(), 0u);
}

// A spool whose index is on the failing disk too.
class SpoolOnBadDisk : public ::testing::Test {
 protected:
  SpoolOnBadDisk() : disk_(folder_.path()) {
    spool_ = std::move(*Spool::Open({.folder = folder_ / "spool", .ballast_bytes = 50'000, .inline_limit = 10'000},
                                    disk_, clock_, worker_));
    TRIBUTARY_CHECK(Ask<void>([&](auto done) { spool_->Probe(done); }).has_value());
  }
  template <class T, class Call>
  Result<T> Ask(Call call) {
    Result<T> answer = Fail(Code::kTimeout, "no answer");
    call(Spool::Done<T>([&](Result<T> result) { answer = std::move(result); }));
    worker_.Run();
    EXPECT_TRUE(spool_->Account().Balances());
    return answer;
  }
  Status Put(const TestUpload& upload) {
    ASSIGN_OR_RETURN(const auto offer,
                     Ask<OfferAnswer>([&](auto done) { spool_->Offer(upload.header, upload.envelope, done); }));
    for (uint32_t chunk = offer.next_chunk; chunk < upload.header.subject.chunk_count; ++chunk) {
      RETURN_IF_ERROR(
          Ask<AppendAnswer>([&](auto done) { spool_->Append(upload.id(), chunk, upload.Chunk(chunk), done); }));
    }
    return {};
  }
  Status Deliver(const TestUpload& upload) {
    return Ask<void>([&](auto done) { spool_->Delivered(upload.id(), done); });
  }
  Status Probe() {
    return Ask<void>([&](auto done) { spool_->Probe(done); });
  }

  TemporaryFolder folder_;
  PowerDisk disk_;
  ManualClock clock_;
  QueueExecutor worker_;
  std::unique_ptr<Spool> spool_;
};

TEST_F(SpoolOnBadDisk, AFullDiskRefusesAndWorksOnByItself) {
  const TestUpload before = MakeUpload(1, kLarge);
  ASSERT_TRUE(Put(before));
  disk_.FailAfter(0, DiskFault::kFull);
  EXPECT_EQ(CodeOf(Put(MakeUpload(2, kLarge))), Code::kDiskFull);
  EXPECT_EQ(CodeOf(spool_->Health()), Code::kDiskFull);
  EXPECT_NE(CodeOf(Probe()), Code{});
  EXPECT_EQ(spool_->ReadChunk(before.id(), 4).value(), before.Chunk(4));
  disk_.Free();
  clock_.Advance(std::chrono::seconds(2));
  EXPECT_TRUE(Probe());
  EXPECT_TRUE(spool_->Health());
  EXPECT_TRUE(Put(MakeUpload(2, kLarge)));
  const KindAccount account = spool_->Account().of(UploadKind::kUpdate);
  EXPECT_EQ(account.offered, 2u) << "the refusal passed, the offer came again";
  EXPECT_TRUE(account.refused.empty());
  EXPECT_EQ(account.spooled, 2u);
}

TEST_F(SpoolOnBadDisk, TheBallastGivesRoomToWhatLeaves) {
  const TestUpload upload = MakeUpload(1, kLarge);
  ASSERT_TRUE(Put(upload));
  ASSERT_TRUE(std::filesystem::exists(folder_ / "spool" / "ballast"));
  // The first attempt finds no room; the second one has that of the ballast.
  disk_.FailAfter(0, DiskFault::kFull, 1);
  EXPECT_TRUE(Deliver(upload));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "spool" / "ballast"));
  EXPECT_EQ(spool_->Account().of(UploadKind::kUpdate).delivered, 1u);
  clock_.Advance(std::chrono::seconds(2));
  EXPECT_TRUE(Probe());
  EXPECT_TRUE(std::filesystem::exists(folder_ / "spool" / "ballast"));
}

TEST_F(SpoolOnBadDisk, WhatTakesRoomDoesNotHoldUpWhatFreesIt) {
  const TestUpload leaving = MakeUpload(1, kLarge);
  const TestUpload coming = MakeUpload(2, kSmall);
  ASSERT_TRUE(Put(leaving));
  ASSERT_TRUE(Ask<OfferAnswer>([&](auto done) { spool_->Offer(coming.header, coming.envelope, done); }));
  Status left = Fail(Code::kTimeout, "");
  Code came{};
  spool_->Append(coming.id(), 0, coming.Chunk(0), [&](const auto& answer) { came = CodeOf(answer); });
  spool_->Delivered(leaving.id(), [&](Status status) { left = std::move(status); });
  disk_.FailAfter(0, DiskFault::kFull, 1);
  worker_.Run();
  EXPECT_TRUE(left);
  EXPECT_EQ(came, Code::kDiskFull);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "spool" / "ballast"));
  EXPECT_TRUE(Put(coming));
}

TEST_F(SpoolOnBadDisk, AReadOnlyDiskIsSaidAndPasses) {
  disk_.FailAfter(0, DiskFault::kReadOnly);
  EXPECT_NE(CodeOf(Put(MakeUpload(1, kLarge))), Code{});
  EXPECT_EQ(CodeOf(spool_->Health()), Code::kReadOnly);
  disk_.Free();
  EXPECT_TRUE(Probe());
  EXPECT_TRUE(spool_->Health());
  EXPECT_TRUE(Put(MakeUpload(1, kLarge)));
}

}  // namespace
}  // namespace tributary::spool_health_test

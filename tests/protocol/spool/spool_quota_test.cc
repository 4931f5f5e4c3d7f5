#include <gmock/gmock.h>

#include "protocol/spool/spool.h"
#include "tests/protocol/spool/spool_fixture.h"

namespace tributary::spool_quota_test {
namespace {

using ::testing::HasSubstr;

Code CodeOf(const auto& result) { return result ? Code{} : result.error().code; }

TestUpload Of(const std::string& device, uint64_t seed, size_t size, UploadKind kind = UploadKind::kUpdate) {
  TestUpload upload = MakeUpload(seed, size, kind);
  upload.header.subject.device = *DeviceId::Parse(device);
  upload.header.subject.base_version = ModelVersion{seed};
  return upload;
}

// Payloads of a kind of 10,000 bytes and the seals of three chunks.
constexpr size_t kPlain = 10'000;
constexpr uint64_t kEach = kPlain + 3 * limits::kSealTagBytes;

class SpoolQuotaTest : public ::testing::Test {
 protected:
  // A disk with this much free of 1 GB.
  static void SetFree(SpoolFixture& f, uint64_t bytes) {
    f.disk.space = DiskSpace{bytes, 1'000'000'000};
    f.clock.Advance(std::chrono::seconds(2));
  }
};

TEST_F(SpoolQuotaTest, TheReserveIsForSmallControlUploads) {
  SpoolFixture f({.max_bytes = 10 * kEach});  // the reserve is a tenth
  for (uint64_t i = 0; i < 9; ++i) ASSERT_TRUE(f.Put(MakeUpload(i, kPlain)));
  const auto refused = f.Offer(MakeUpload(20, kSmall));
  ASSERT_EQ(CodeOf(refused), Code::kQuotaExceeded);
  EXPECT_THAT(refused.error().message, HasSubstr("90432 of 100480 bytes"));
  EXPECT_THAT(refused.error().message, HasSubstr("what has custody is safe"));
  EXPECT_EQ(CodeOf(f.Offer(MakeUpload(21, kSmall, UploadKind::kSample))), Code::kQuotaExceeded);
  EXPECT_TRUE(f.Put(MakeUpload(22, kPlain, UploadKind::kEvaluation)));
  // The reserve has its end too.
  EXPECT_EQ(CodeOf(f.Offer(MakeUpload(23, kSmall, UploadKind::kEvaluation))), Code::kQuotaExceeded);
}

TEST_F(SpoolQuotaTest, OldestTelemetryGivesWay) {
  SpoolFixture f({.max_bytes = 4 * kEach, .reserve_bytes = 0});
  const TestUpload first = MakeUpload(1, kPlain, UploadKind::kDeviceState);
  const TestUpload second = MakeUpload(2, kPlain, UploadKind::kDeviceState);
  const TestUpload update = MakeUpload(3, kPlain);
  ASSERT_TRUE(f.Put(first));
  ASSERT_TRUE(f.Offer(second));  // partial ones give way too
  ASSERT_TRUE(f.Put(update));
  ASSERT_TRUE(f.Put(MakeUpload(4, kPlain)));
  // A sample makes nobody give way, newer telemetry and updates do.
  EXPECT_EQ(CodeOf(f.Offer(MakeUpload(5, kPlain, UploadKind::kSample))), Code::kQuotaExceeded);
  const TestUpload newer = MakeUpload(6, kPlain, UploadKind::kDeviceState);
  ASSERT_TRUE(f.Put(newer));
  EXPECT_EQ(CodeOf(f.spool->ReadChunk(first.id(), 0)), Code::kUnknownUpload);
  ASSERT_TRUE(f.Put(MakeUpload(7, kPlain)));
  EXPECT_EQ(CodeOf(f.Append(second, 0)), Code::kUnknownUpload);
  ASSERT_TRUE(f.Put(MakeUpload(8, kPlain, UploadKind::kEvaluation)));
  EXPECT_EQ(CodeOf(f.spool->ReadChunk(newer.id(), 0)), Code::kUnknownUpload);
  // Nothing is left that may give way: updates never do.
  EXPECT_EQ(CodeOf(f.Offer(MakeUpload(9, kPlain))), Code::kQuotaExceeded);
  EXPECT_EQ(f.ReadAll(update), update.payload);
  const KindAccount telemetry = f.spool->Account().of(UploadKind::kDeviceState);
  EXPECT_EQ(telemetry.dropped.at(Code::kGaveWay), 3u);
  EXPECT_EQ(f.spool->Account().bytes, 4 * kEach);
  EXPECT_TRUE(f.spool->DeadLetters(10)->empty());
}

TEST_F(SpoolQuotaTest, NothingGivesWayInVain) {
  SpoolFixture f({.max_bytes = 4 * kEach, .reserve_bytes = 0});
  const TestUpload telemetry = MakeUpload(1, kSmall, UploadKind::kDeviceState);
  ASSERT_TRUE(f.Put(telemetry));
  for (uint64_t i = 2; i < 5; ++i) ASSERT_TRUE(f.Put(MakeUpload(i, kPlain)));
  EXPECT_EQ(CodeOf(f.Offer(MakeUpload(9, 2 * kPlain))), Code::kQuotaExceeded);
  EXPECT_EQ(f.ReadAll(telemetry), telemetry.payload);
}

TEST_F(SpoolQuotaTest, DeadLettersGiveWayFirst) {
  SpoolFixture f({.max_bytes = 4 * kEach, .reserve_bytes = 0});
  const TestUpload telemetry = MakeUpload(1, kPlain, UploadKind::kDeviceState);
  const TestUpload dead = MakeUpload(2, kPlain);
  ASSERT_TRUE(f.Put(telemetry));
  ASSERT_TRUE(f.Put(dead));
  ASSERT_TRUE(f.Drop(dead.id(), Code::kNotFinite));
  ASSERT_EQ(f.spool->Account().dead_bytes, kEach);
  ASSERT_EQ(f.PayloadFileCount(), 2u);
  for (uint64_t i = 3; i < 6; ++i) ASSERT_TRUE(f.Put(MakeUpload(i, kPlain)));
  EXPECT_EQ(f.spool->Account().dead_bytes, 0u);
  EXPECT_EQ(f.PayloadFileCount(), 4u);
  EXPECT_EQ(f.ReadAll(telemetry), telemetry.payload);
  EXPECT_FALSE(f.spool->DeadLetters(10)->at(0).kept);
  EXPECT_EQ(CodeOf(f.Requeue(dead.id())), Code::kConflict);
}

TEST_F(SpoolQuotaTest, ADeviceCannotCrowdOutTheOthers) {
  SpoolFixture f({.max_bytes = 12 * kEach, .reserve_bytes = 0});
  ASSERT_TRUE(f.Put(Of("modest", 100, kPlain)));
  uint64_t greedy = 0;
  Result<AppendAnswer> last = Fail(Code::kTimeout, "");
  while ((last = f.Put(Of("greedy", ++greedy, kPlain)))) {
  }
  ASSERT_EQ(CodeOf(last), Code::kQuotaExceeded);
  EXPECT_THAT(last.error().message, HasSubstr("device greedy holds"));
  EXPECT_EQ(greedy - 1, 7u);  // more than half of twelve
  EXPECT_TRUE(f.Put(Of("modest", 101, kPlain)));
  EXPECT_TRUE(f.Put(Of("newcomer", 102, kPlain)));
  // Its share is free again when what it holds has left.
  f.Open();
  EXPECT_EQ(CodeOf(f.Offer(Of("greedy", 50, kPlain))), Code::kQuotaExceeded);
  for (uint64_t i = 1; i < greedy; ++i) ASSERT_TRUE(f.Delivered(Of("greedy", i, kPlain).id()));
  EXPECT_TRUE(f.Put(Of("greedy", 50, kPlain)));
}

TEST_F(SpoolQuotaTest, ADeviceHasAQuotaOfItsOwn) {
  SpoolFixture f({.reserve_bytes = 0, .max_device_bytes = 2 * kEach});
  const TestUpload others = Of("other", 1, kPlain, UploadKind::kDeviceState);
  const TestUpload own = Of("one", 2, kPlain, UploadKind::kDeviceState);
  ASSERT_TRUE(f.Put(others));
  ASSERT_TRUE(f.Put(own));
  ASSERT_TRUE(f.Put(Of("one", 3, kPlain)));
  ASSERT_TRUE(f.Put(Of("one", 4, kPlain)));  // its own telemetry gives way, not another's
  EXPECT_EQ(f.ReadAll(others), others.payload);
  EXPECT_EQ(CodeOf(f.spool->ReadChunk(own.id(), 0)), Code::kUnknownUpload);
  const auto refused = f.Offer(Of("one", 5, kPlain));
  ASSERT_EQ(CodeOf(refused), Code::kQuotaExceeded);
  EXPECT_THAT(refused.error().message, HasSubstr("device one has 20096 of 20096 bytes in use"));
  EXPECT_TRUE(f.Put(Of("other", 6, kPlain)));
}

TEST_F(SpoolQuotaTest, AKindHasAQuotaOfItsOwn) {
  SpoolFixture f({.max_kind_bytes = {kEach, 0, kEach, 0}});
  ASSERT_TRUE(f.Put(MakeUpload(1, kPlain)));
  EXPECT_EQ(CodeOf(f.Offer(MakeUpload(2, kPlain))), Code::kQuotaExceeded);
  ASSERT_TRUE(f.Put(MakeUpload(3, kPlain, UploadKind::kDeviceState)));
  ASSERT_TRUE(f.Put(MakeUpload(4, kPlain, UploadKind::kDeviceState)));
  EXPECT_EQ(f.spool->Account().of(UploadKind::kDeviceState).dropped.at(Code::kGaveWay), 1u);
  EXPECT_TRUE(f.Put(MakeUpload(5, kPlain, UploadKind::kSample)));
}

TEST_F(SpoolQuotaTest, OthersMayFillTheDisk) {
  SpoolFixture f;
  SetFree(f, 50'000'000);  // 95 percent in use
  const auto refused = f.Offer(MakeUpload(1, kPlain));
  ASSERT_EQ(CodeOf(refused), Code::kDiskFull);
  EXPECT_THAT(refused.error().message, HasSubstr("50000000 of 1000000000 bytes free"));
  EXPECT_EQ(CodeOf(f.spool->Health()), Code::kDiskFull);
  EXPECT_TRUE(f.Put(MakeUpload(2, kPlain, UploadKind::kEvaluation)));
  SetFree(f, 70'000'000);
  EXPECT_TRUE(f.Put(MakeUpload(1, kPlain)));
  EXPECT_TRUE(f.spool->Health());
  EXPECT_EQ(f.spool->Account().disk.free_bytes, 70'000'000u);
}

TEST_F(SpoolQuotaTest, WhatIsPromisedCountsAsUsed) {
  SpoolFixture f({.max_disk_percent = 0, .reserve_bytes = 0});
  SetFree(f, 2 * kEach);
  ASSERT_TRUE(f.Offer(MakeUpload(1, kPlain)));
  ASSERT_TRUE(f.Append(MakeUpload(1, kPlain), 0));
  EXPECT_TRUE(f.Offer(MakeUpload(2, kPlain)));
  EXPECT_EQ(CodeOf(f.Offer(MakeUpload(3, kPlain))), Code::kDiskFull);
  f.Open();
  EXPECT_EQ(f.spool->Account().unwritten, 2 * MakeUpload(1, kPlain).Chunk(0).size());
}

TEST_F(SpoolQuotaTest, TotalsAreRightAfterARestart) {
  SpoolFixture f;
  ASSERT_TRUE(f.Put(Of("a", 1, kPlain)));
  ASSERT_TRUE(f.Put(Of("a", 2, kSmall, UploadKind::kDeviceState)));
  ASSERT_TRUE(f.Offer(Of("b", 3, kPlain)));
  ASSERT_TRUE(f.Put(Of("c", 4, kPlain)));
  ASSERT_TRUE(f.Drop(Of("c", 4, kPlain).id(), Code::kNotFinite));
  const SpoolAccount before = f.spool->Account();
  EXPECT_EQ(before.devices, 2u);
  EXPECT_EQ(before.dead_letters, 1u);
  f.Open();
  const SpoolAccount after = f.spool->Account();
  EXPECT_EQ(after.kinds, before.kinds);
  EXPECT_EQ(after.bytes, before.bytes);
  EXPECT_EQ(after.kind_bytes, before.kind_bytes);
  EXPECT_EQ(after.waiting, before.waiting);
  EXPECT_EQ(after.devices, before.devices);
  EXPECT_EQ(after.unwritten, before.unwritten);
  EXPECT_EQ(after.dead_letters, before.dead_letters);
  EXPECT_EQ(after.dead_bytes, before.dead_bytes);
}

}  // namespace
}  // namespace tributary::spool_quota_test

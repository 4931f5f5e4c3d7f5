#include "protocol/spool/spool.h"
#include "tests/protocol/spool/spool_fixture.h"

// An upload that is only announced takes no room, and does not stay.
namespace tributary::announcement_test {
namespace {

Code CodeOf(const auto& result) { return result ? Code{} : result.error().code; }

// Of a payload that nobody has.
TestUpload Announced(uint64_t seed, uint64_t plaintext_size, UploadKind kind = UploadKind::kUpdate) {
  TestUpload upload = MakeUpload(seed, kSmall, kind);
  UploadSubject& subject = upload.header.subject;
  subject.plaintext_size = plaintext_size;
  subject.chunk_count = static_cast<uint32_t>(ChunksFor(plaintext_size, subject.chunk_size));
  upload.header.ciphertext_size = plaintext_size + subject.chunk_count * limits::kSealTagBytes;
  return upload;
}

TestUpload By(const std::string& device, TestUpload upload) {
  upload.header.subject.device = *DeviceId::Parse(device);
  return upload;
}

constexpr uint64_t kChunk = limits::kMinChunkBytes + limits::kSealTagBytes;

TEST(Announcement, TakesTheRoomOfOneChunkAlsoAfterARestart) {
  SpoolFixture f;  // of 16 GiB
  f.disk.space = DiskSpace{uint64_t{1} << 40, uint64_t{1} << 40};
  f.clock.Advance(std::chrono::seconds(2));
  for (uint64_t i = 1; i <= 5; ++i) {
    ASSERT_TRUE(f.Offer(By(i % 2 == 0 ? "one" : "two", Announced(i, 3'200 * limits::kMiB, UploadKind::kSample))));
  }
  EXPECT_EQ(f.spool->Account().bytes, 5 * kChunk);
  EXPECT_EQ(f.spool->Account().unwritten, 5 * kChunk);
  f.Open();
  EXPECT_EQ(f.spool->Account().bytes, 5 * kChunk);
  EXPECT_TRUE(f.Put(MakeUpload(9, kLarge)));
}

TEST(Announcement, ThatIsToldToGoOnTakesRoomChunkByChunk) {
  SpoolFixture f;
  const TestUpload upload = MakeUpload(1, kLarge);
  ASSERT_TRUE(f.Offer(upload));
  for (uint32_t chunk = 0; chunk < 4; ++chunk) {
    EXPECT_EQ(f.spool->Account().bytes, std::min(upload.payload.size(), (chunk + 1) * kChunk));
    ASSERT_TRUE(f.Append(upload, chunk));
    EXPECT_EQ(f.spool->Account().unwritten, f.spool->Account().bytes - (chunk + 1) * kChunk);
  }
  f.Open();
  EXPECT_EQ(f.spool->Account().bytes, upload.payload.size());
  ASSERT_TRUE(f.Append(upload, 4));
  EXPECT_EQ(f.spool->Account().unwritten, 0u);
  ASSERT_TRUE(f.Delivered(upload.id()));
  EXPECT_EQ(f.spool->Account().bytes, 0u);
  EXPECT_EQ(f.spool->Account().devices, 0u);
}

TEST(Announcement, OfMoreThanThereIsRoomForIsSettledByWhoComesFirst) {
  SpoolFixture f({.max_bytes = 6 * kChunk, .reserve_bytes = 0});
  const TestUpload first = MakeUpload(1, kLarge);
  const TestUpload second = MakeUpload(2, kLarge);
  ASSERT_TRUE(f.Offer(first));
  ASSERT_TRUE(f.Offer(second));
  for (uint32_t chunk = 0; chunk < 2; ++chunk) {
    ASSERT_TRUE(f.Append(first, chunk));
    ASSERT_TRUE(f.Append(second, chunk));
  }
  // Six chunks are promised. Whoever asks for the seventh makes room for the other.
  EXPECT_EQ(CodeOf(f.Append(second, 2)), Code::kQuotaExceeded);
  EXPECT_EQ(CodeOf(f.Append(second, 2)), Code::kUnknownUpload);
  for (uint32_t chunk = 2; chunk < 5; ++chunk) ASSERT_TRUE(f.Append(first, chunk));
  EXPECT_EQ(f.ReadAll(first), first.payload);
  ASSERT_TRUE(f.Delivered(first.id()));
  EXPECT_TRUE(f.Put(second));
  EXPECT_EQ(f.ReadAll(second), second.payload);
}

TEST(Announcement, OfOneDeviceAndKindThereAreSoManyAtMost) {
  for (const SpoolMode mode : {SpoolMode::kDurable, SpoolMode::kStaging}) {
    SpoolFixture f({.mode = mode});
    for (uint64_t i = 0; i < 1'023; ++i) {
      const auto answer = f.Offer(By("greedy", Announced(i, kSmall, UploadKind::kEvaluation)));
      EXPECT_EQ(CodeOf(answer), i < f.options.max_partial ? Code{} : Code::kQuotaExceeded) << i;
    }
    EXPECT_LT(f.spool->Account().bytes, 33 * kChunk);
    EXPECT_TRUE(f.Put(By("greedy", MakeUpload(2'000, kSmall)))) << "another kind";
    EXPECT_TRUE(f.Put(By("modest", MakeUpload(2'001, kSmall, UploadKind::kEvaluation))));
    // One that is whole makes room for the next.
    ASSERT_TRUE(f.Append(By("greedy", MakeUpload(0, kSmall, UploadKind::kEvaluation)), 0));
    EXPECT_TRUE(f.Offer(By("greedy", Announced(3'000, kSmall, UploadKind::kEvaluation))));
  }
}

TEST(Announcement, IsGivenUpWithinAnHourOfItsLastChunk) {
  SpoolFixture f;
  const TestUpload never = MakeUpload(1, kLarge);
  const TestUpload slow = MakeUpload(2, kLarge);
  ASSERT_TRUE(f.Offer(never));
  ASSERT_TRUE(f.Offer(slow));
  f.clock.Advance(std::chrono::minutes(40));
  ASSERT_TRUE(f.Append(slow, 0));
  f.Open();
  f.clock.Advance(std::chrono::minutes(21));
  ASSERT_TRUE(f.Offer(never));  // saying it again is no chunk
  EXPECT_EQ(f.DropExpired().value(), 1u);
  EXPECT_EQ(CodeOf(f.Append(never, 0)), Code::kUnknownUpload);
  EXPECT_EQ(f.Offer(slow)->next_chunk, 1u);
  f.clock.Advance(std::chrono::minutes(40));
  EXPECT_EQ(f.DropExpired().value(), 1u);
  EXPECT_EQ(f.spool->Account().bytes, 0u);
  EXPECT_EQ(f.Updates().dropped.at(Code::kTimeout), 2u);
}

}  // namespace
}  // namespace tributary::announcement_test

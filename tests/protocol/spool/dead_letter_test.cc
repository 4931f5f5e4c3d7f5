#include <fstream>

#include "protocol/spool/spool.h"
#include "protocol/spool/spool_reader.h"
#include "tests/protocol/spool/spool_fixture.h"

namespace tributary::dead_letter_test {
namespace {

Code CodeOf(const auto& result) { return result ? Code{} : result.error().code; }

TEST(DeadLetters, AreKeptWholeAndGoBackIntoCustody) {
  SpoolFixture f;
  const TestUpload waiting = MakeUpload(9, kSmall);
  ASSERT_TRUE(f.Put(waiting));
  for (const size_t size : {kSmall, kLarge}) {
    const TestUpload upload = MakeUpload(size, size);
    ASSERT_TRUE(f.Put(upload));
    const KindAccount before = f.Updates();
    ASSERT_TRUE(f.Drop(upload.id(), Code::kUnknownTask));
    f.Open();
    EXPECT_EQ(f.Updates().dropped.at(Code::kUnknownTask), 1u);
    const auto letters = f.spool->DeadLetters(10);
    EXPECT_TRUE(letters->at(0).CanRequeue());
    EXPECT_EQ(letters->at(0).base_version, ModelVersion{3});
    EXPECT_EQ(CodeOf(f.Offer(upload)), Code::kUnknownTask);

    ASSERT_TRUE(f.Requeue(upload.id()));
    EXPECT_EQ(f.ReadAll(upload), upload.payload);
    EXPECT_EQ(*f.spool->ReadEnvelope(upload.id()), upload.envelope);
    EXPECT_EQ(f.Updates().dropped.at(Code::kUnknownTask), 0u);
    EXPECT_EQ(f.Updates().spooled, before.spooled);
    EXPECT_EQ(f.Updates().offered, before.offered + 1);       // the refused offer
    EXPECT_EQ(f.spool->Pending(10)->back().id, upload.id());  // at the end of the order
    EXPECT_TRUE(f.spool->DeadLetters(10)->empty());
    EXPECT_EQ(CodeOf(f.Requeue(upload.id())), Code::kUnknownUpload);
    f.Open();
    EXPECT_EQ(f.ReadAll(upload), upload.payload);
    EXPECT_EQ(f.spool->Account().dead_bytes, 0u);
    ASSERT_TRUE(f.Delivered(upload.id()));
  }
}

TEST(DeadLetters, WhatCountsAlreadyDoesNotGoBack) {
  SpoolFixture f;
  const TestUpload dead = MakeUpload(1, kLarge);
  TestUpload again = MakeUpload(2, kLarge);
  again.header.subject.device = dead.header.subject.device;
  ASSERT_TRUE(f.Put(dead));
  ASSERT_TRUE(f.Drop(dead.id(), Code::kSealBroken));
  ASSERT_TRUE(f.Put(again));
  EXPECT_EQ(CodeOf(f.Requeue(dead.id())), Code::kDuplicate);
  ASSERT_TRUE(f.Delivered(again.id()));
  EXPECT_EQ(CodeOf(f.Requeue(dead.id())), Code::kDuplicate);
  EXPECT_EQ(f.spool->DeadLetters(10)->size(), 1u);
}

TEST(DeadLetters, PurgeFreesOneOrAll) {
  SpoolFixture f;
  for (uint64_t i = 0; i < 3; ++i) {
    const TestUpload upload = MakeUpload(i, i == 0 ? kSmall : kLarge);
    ASSERT_TRUE(f.Put(upload));
    ASSERT_TRUE(f.Drop(upload.id(), Code::kNotFinite));
  }
  EXPECT_EQ(*f.Purge(MakeUpload(1, kLarge).id()), 1u);
  EXPECT_EQ(CodeOf(f.Purge(MakeUpload(1, kLarge).id())), Code::kUnknownUpload);
  EXPECT_EQ(f.PayloadFileCount(), 1u);
  EXPECT_EQ(*f.Purge(std::nullopt), 2u);
  EXPECT_EQ(f.PayloadFileCount(), 0u);
  EXPECT_EQ(f.spool->Account().dead_letters, 0u);
  EXPECT_EQ(f.spool->Account().dead_bytes, 0u);
  EXPECT_EQ(f.Updates().dropped.at(Code::kNotFinite), 3u);
}

TEST(DeadLetters, PayloadsAreKeptUpToTheirBound) {
  const uint64_t each = MakeUpload(0, kLarge).payload.size();
  SpoolFixture f({.max_dead_bytes = 2 * each});
  for (uint64_t i = 0; i < 3; ++i) {
    const TestUpload upload = MakeUpload(i, kLarge);
    ASSERT_TRUE(f.Put(upload));
    ASSERT_TRUE(f.Drop(upload.id(), Code::kNotFinite));
  }
  const auto letters = f.spool->DeadLetters(10);
  ASSERT_EQ(letters->size(), 3u);
  EXPECT_TRUE(letters->at(0).kept);
  EXPECT_TRUE(letters->at(1).kept);
  EXPECT_FALSE(letters->at(2).kept);
  EXPECT_EQ(f.PayloadFileCount(), 2u);
  EXPECT_EQ(f.spool->Account().dead_bytes, 2 * each);
}

TEST(DeadLetters, StagingAndPartialUploadsKeepNoPayload) {
  SpoolFixture staging({.mode = SpoolMode::kStaging});
  const TestUpload upload = MakeUpload(1, kLarge);
  ASSERT_TRUE(staging.Put(upload));
  ASSERT_TRUE(staging.Drop(upload.id(), Code::kNotFinite));
  EXPECT_EQ(staging.PayloadFileCount(), 0u);
  SpoolFixture durable;
  ASSERT_TRUE(durable.Offer(upload));
  ASSERT_TRUE(durable.Append(upload, 0));
  ASSERT_TRUE(durable.Drop(upload.id(), Code::kNotFinite));
  EXPECT_EQ(durable.PayloadFileCount(), 0u);
  EXPECT_FALSE(durable.spool->DeadLetters(10)->at(0).kept);
}

TEST(DeadLetters, OfferedAgainAfterAPassingReasonAreUploadsAgain) {
  SpoolFixture f;
  const TestUpload upload = MakeUpload(1, kLarge);
  ASSERT_TRUE(f.Put(upload));
  ASSERT_TRUE(f.Drop(upload.id(), Code::kBusy));
  // Sealed anew, and shorter than what lies there.
  TestUpload anew = MakeUpload(2, 12'000);
  anew.header.subject.id = upload.id();
  anew.header.subject.device = upload.header.subject.device;
  f.spool->Offer(anew.header, anew.envelope, nullptr);
  for (uint32_t chunk = 0; chunk < anew.header.subject.chunk_count; ++chunk)
    f.spool->Append(anew.id(), chunk, anew.Chunk(chunk), nullptr);
  f.worker.Run();
  EXPECT_EQ(f.ReadAll(anew), anew.payload);
  EXPECT_EQ(RealFileSystem().Size(f.options.folder / "payloads" / (anew.id().hex() + ".payload")), anew.payload.size());
  EXPECT_TRUE(f.spool->DeadLetters(10)->empty());
  EXPECT_EQ(f.spool->Account().dead_bytes, 0u);
}

TEST(DeadLetters, ARottenUploadIsSetAsideWithWhatItLost) {
  SpoolFixture f;
  const TestUpload upload = MakeUpload(1, kLarge);
  ASSERT_TRUE(f.Put(upload));
  std::fstream(f.options.folder / "payloads" / (upload.id().hex() + ".payload"), std::ios::in | std::ios::out) << "rot";
  ASSERT_TRUE(f.Drop(upload.id(), Code::kCorrupt));
  const auto letters = f.spool->DeadLetters(1);
  EXPECT_EQ(letters->at(0).bytes_lost, upload.payload.size());
  EXPECT_EQ(CodeOf(f.Requeue(upload.id())), Code::kCorrupt);
}

TEST(DeadLetters, AMissingFileLeavesOnlyTheLine) {
  SpoolFixture f;
  const TestUpload upload = MakeUpload(1, kLarge);
  ASSERT_TRUE(f.Put(upload));
  ASSERT_TRUE(f.Drop(upload.id(), Code::kNotFinite));
  std::filesystem::remove(f.options.folder / "payloads" / (upload.id().hex() + ".payload"));
  f.Open();
  EXPECT_FALSE(f.spool->DeadLetters(1)->at(0).kept);
  EXPECT_EQ(f.spool->Account().dead_bytes, 0u);
}

}  // namespace
}  // namespace tributary::dead_letter_test

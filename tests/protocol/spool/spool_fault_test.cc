#include <fstream>

#include "protocol/spool/spool.h"
#include "tests/protocol/spool/spool_fixture.h"

namespace tributary::spool_fault_test {
namespace {

Code CodeOf(const auto& result) { return result ? Code{} : result.error().code; }

TEST(SpoolFault, AFullDiskAtAnyWriteLosesNothing) {
  for (int writes = 0; writes < 5; ++writes) {
    SpoolFixture f;
    const TestUpload safe = MakeUpload(1, kLarge);
    const TestUpload upload = MakeUpload(2, kLarge);
    ASSERT_TRUE(f.Put(safe));
    f.disk.writes_left = writes;
    EXPECT_EQ(CodeOf(f.Put(upload)), Code::kDiskFull);
    EXPECT_EQ(f.ReadAll(safe), safe.payload);
    f.disk.writes_left = 1'000;
    EXPECT_EQ(f.Offer(upload)->next_chunk, static_cast<uint32_t>(writes));
    ASSERT_TRUE(f.Put(upload)->complete);
    EXPECT_EQ(f.ReadAll(upload), upload.payload);
  }
}

TEST(SpoolFault, AFailedSyncIsNoCustody) {
  SpoolFixture f;
  const TestUpload upload = MakeUpload(1, kLarge);
  f.disk.fail_sync = true;
  EXPECT_EQ(CodeOf(f.Put(upload)), Code::kIo);
  EXPECT_TRUE(f.spool->Pending(10)->empty());
  EXPECT_EQ(f.Updates().in_flight, 1u);
  f.disk.fail_sync = false;
  EXPECT_EQ(f.Offer(upload)->next_chunk, 0u);
  ASSERT_TRUE(f.Put(upload)->complete);
  EXPECT_EQ(f.ReadAll(upload), upload.payload);
}

// The sync at the end succeeds: the kernel told the error to the one before, and only to that.
TEST(SpoolFault, AFailedSyncOfALongFilesBeginningIsNoCustody) {
  SpoolFixture f;
  const TestUpload upload = MakeUpload(1, 9'000'000);
  f.disk.fail_early_syncs = true;
  EXPECT_EQ(CodeOf(f.Put(upload)), Code::kIo);
  f.disk.fail_early_syncs = false;
  EXPECT_EQ(f.Offer(upload)->next_chunk, 0u);
  ASSERT_TRUE(f.Put(upload)->complete);
  EXPECT_EQ(f.ReadAll(upload), upload.payload);
  EXPECT_TRUE(f.spool->Account().Balances());
}

TEST(SpoolFault, AFailedBarrierIsNoCustodyForAnybody) {
  SpoolFixture f;
  const TestUpload upload = MakeUpload(1, kLarge);
  f.disk.fail_folder_sync = true;
  EXPECT_EQ(CodeOf(f.Put(upload)), Code::kIo);
  EXPECT_TRUE(f.spool->Pending(10)->empty());
  EXPECT_EQ(f.Updates().in_flight, 1u);
  f.disk.fail_folder_sync = false;
  EXPECT_EQ(f.Offer(upload)->next_chunk, 4u);
  ASSERT_TRUE(f.Put(upload)->complete);
  EXPECT_EQ(f.ReadAll(upload), upload.payload);
}

TEST(SpoolFault, PowerLossKeepsCustodyAndRestartsTheRest) {
  SpoolFixture f;
  const TestUpload whole = MakeUpload(1, kLarge);
  const TestUpload partial = MakeUpload(2, kLarge);
  ASSERT_TRUE(f.Put(whole));
  ASSERT_TRUE(f.Offer(partial));
  for (uint32_t chunk = 0; chunk < 3; ++chunk) ASSERT_TRUE(f.Append(partial, chunk));
  f.spool.reset();
  f.disk.LosePower();
  f.Open();
  EXPECT_EQ(f.ReadAll(whole), whole.payload);
  EXPECT_EQ(f.Offer(partial)->next_chunk, 0u);
  ASSERT_TRUE(f.Put(partial)->complete);
  EXPECT_EQ(f.ReadAll(partial), partial.payload);
}

TEST(SpoolFault, ProgressThatRottedIsNotTheSendersFault) {
  SpoolFixture f;
  const TestUpload upload = MakeUpload(1, kLarge);
  ASSERT_TRUE(f.Offer(upload));
  for (uint32_t chunk = 0; chunk < 4; ++chunk) ASSERT_TRUE(f.Append(upload, chunk));
  f.spool.reset();
  std::fstream(f.options.folder / "payloads" / (upload.id().hex() + ".payload"), std::ios::in | std::ios::out) << "rot";
  f.Open();
  EXPECT_EQ(CodeOf(f.Put(upload)), Code::kBusy);
  EXPECT_EQ(f.Offer(upload)->next_chunk, 0u);
  ASSERT_TRUE(f.Put(upload)->complete);
}

TEST(SpoolFault, DamagedAndOrphanedFilesAreSetAsideAtOpen) {
  SpoolFixture f;
  const TestUpload intact = MakeUpload(1, kLarge);
  const TestUpload missing = MakeUpload(2, kLarge);
  const TestUpload cut = MakeUpload(3, kLarge);
  for (const auto* upload : {&intact, &missing, &cut}) ASSERT_TRUE(f.Put(*upload));
  f.spool.reset();
  const Path payloads = f.options.folder / "payloads";
  std::filesystem::remove(payloads / (missing.id().hex() + ".payload"));
  std::filesystem::resize_file(payloads / (cut.id().hex() + ".payload"), 100);
  std::ofstream(payloads / "0123.payload") << "nobody's";
  f.Open();
  EXPECT_EQ(f.PayloadFileCount(), 2u);  // and what is left of the cut one
  ASSERT_EQ(f.spool->Pending(10)->size(), 1u);
  EXPECT_EQ(f.ReadAll(intact), intact.payload);
  EXPECT_EQ(f.Updates().dropped.at(Code::kCorrupt), 2u);
  EXPECT_TRUE(f.spool->Account().Balances());
  const auto letters = f.spool->DeadLetters(10);
  for (const DeadLetter& letter : *letters) {
    EXPECT_EQ(letter.reason, Code::kCorrupt);
    const bool is_cut = letter.id == cut.id();
    EXPECT_EQ(letter.kept, is_cut);
    EXPECT_EQ(letter.bytes_lost, letter.bytes - (is_cut ? 100 : 0));
    EXPECT_EQ(CodeOf(f.Requeue(letter.id)), is_cut ? Code::kCorrupt : Code::kConflict);
  }
}

// More rows than Open reads at a time, and damage at both ends of a page.
TEST(SpoolFault, LongSpoolsAreComparedToTheLastFile) {
  SpoolFixture f;
  std::vector<TestUpload> uploads;
  for (uint64_t i = 0; i < 2'100; ++i) {
    uploads.push_back(MakeUpload(10'000 + i, 10'001));
    const TestUpload& upload = uploads.back();
    f.spool->Offer(upload.header, upload.envelope, nullptr);
    for (uint32_t chunk = 0; chunk < 3; ++chunk) f.spool->Append(upload.id(), chunk, upload.Chunk(chunk), nullptr);
  }
  f.worker.Run();
  ASSERT_EQ(f.Updates().spooled, 2'100u);
  f.spool.reset();
  std::ranges::sort(uploads, {}, [](const TestUpload& upload) { return upload.id(); });
  const Path payloads = f.options.folder / "payloads";
  for (const size_t missing : {0u, 999u, 1'000u, 2'099u})
    std::filesystem::remove(payloads / (uploads[missing].id().hex() + ".payload"));
  for (const char* orphan : {"0", "7.payload", "g"}) std::ofstream(payloads / orphan) << "nobody's";
  f.Open();
  EXPECT_EQ(f.PayloadFileCount(), 2'096u);
  EXPECT_EQ(f.Updates().spooled, 2'096u);
  EXPECT_EQ(f.Updates().dropped.at(Code::kCorrupt), 4u);
  // And leave in more than one transaction.
  EXPECT_EQ(f.DropStale({ModelVersion{4}}).value(), 2'096u);
  EXPECT_EQ(f.PayloadFileCount(), 0u);
  EXPECT_EQ(f.spool->Account().devices, 0u);
  EXPECT_EQ(f.spool->Account().bytes, 0u);
}

TEST(SpoolFault, LengthsThatOpenLeftOutAreComparedByProbe) {
  SpoolFixture f({.measured_at_open = 1});
  std::vector<TestUpload> uploads;
  for (uint64_t i = 0; i < 4; ++i) {
    uploads.push_back(MakeUpload(i, kLarge));
    ASSERT_TRUE(f.Put(uploads.back()));
  }
  std::ranges::sort(uploads, {}, [](const TestUpload& upload) { return upload.id(); });
  f.spool.reset();
  const Path payloads = f.options.folder / "payloads";
  std::filesystem::resize_file(payloads / (uploads[0].id().hex() + ".payload"), 7);
  std::filesystem::remove(payloads / (uploads[2].id().hex() + ".payload"));
  std::filesystem::resize_file(payloads / (uploads[3].id().hex() + ".payload"), 7);
  f.Open();
  EXPECT_EQ(f.Updates().dropped.at(Code::kCorrupt), 2u);
  ASSERT_TRUE(f.DropExpired());
  EXPECT_EQ(f.Updates().dropped.at(Code::kCorrupt), 3u);
  const auto pending = f.spool->Pending(10);
  ASSERT_EQ(pending->size(), 1u);
  EXPECT_EQ(pending->front().id, uploads[1].id());
}

TEST(SpoolFault, ADamagedIndexIsAnErrorNotAnEmptySpool) {
  SpoolFixture f;
  f.spool.reset();
  std::ofstream(f.options.folder / "index.sqlite") << std::string(8192, 'x');
  const auto opened = Spool::Open(f.options, f.disk, f.clock, f.worker);
  EXPECT_EQ(CodeOf(opened), Code::kCorrupt);
}

}  // namespace
}  // namespace tributary::spool_fault_test

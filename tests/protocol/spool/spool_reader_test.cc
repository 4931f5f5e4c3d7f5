#include "protocol/spool/spool_reader.h"

#include "protocol/spool/spool_index.h"
#include "tests/protocol/spool/spool_fixture.h"

namespace tributary::spool_reader_test {
namespace {

Code CodeOf(const auto& result) { return result ? Code{} : result.error().code; }

TEST(SpoolReader, SeesWhatTheSpoolHasWhileItWorks) {
  SpoolFixture f;
  const TestUpload small = MakeUpload(1, kSmall, UploadKind::kDeviceState);
  const TestUpload large = MakeUpload(2, kLarge);
  const TestUpload dead = MakeUpload(3, kLarge);
  const TestUpload partial = MakeUpload(4, kLarge);
  const auto reader = SpoolReader::Open(f.options.folder, f.disk);
  ASSERT_TRUE(reader) << reader.error().ToString();
  EXPECT_EQ((*reader)->OldestSpooled().value(), std::nullopt);
  for (const auto* upload : {&small, &large, &dead}) ASSERT_TRUE(f.Put(*upload));
  ASSERT_TRUE(f.Offer(partial));
  ASSERT_TRUE(f.Drop(dead.id(), Code::kNotFinite));

  const auto pending = (*reader)->Pending(10);
  ASSERT_EQ(pending->size(), 2u);
  EXPECT_EQ((*pending)[0].id, large.id());
  EXPECT_EQ((*reader)->Pending(1)->size(), 1u);
  EXPECT_EQ((*reader)->DeadLetters(10)->size(), 1u);
  EXPECT_EQ((*reader)->FindDeadLetter(dead.id())->reason, Code::kNotFinite);
  for (const auto* upload : {&small, &large, &dead}) {
    EXPECT_EQ((*reader)->ReadEnvelope(upload->id()).value(), upload->envelope);
    EXPECT_EQ((*reader)->ReadChunk(upload->id(), 0).value(), upload->Chunk(0));
  }
  EXPECT_EQ(CodeOf((*reader)->ReadChunk(large.id(), 5)), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf((*reader)->ReadChunk(partial.id(), 0)), Code::kUnknownUpload);
  EXPECT_EQ((*reader)->Account()->kinds, f.spool->Account().kinds);
  EXPECT_EQ((*reader)->Account()->dead_bytes, dead.payload.size());
  EXPECT_EQ((*reader)->OldestSpooled().value(), f.clock.Now());
  EXPECT_EQ(f.spool->OldestSpooled().value(), f.clock.Now());
  // It does not hinder the one that writes.
  ASSERT_TRUE(f.Delivered(large.id()));
  EXPECT_EQ(CodeOf((*reader)->ReadEnvelope(large.id())), Code::kUnknownUpload);
}

TEST(SpoolReader, PagesGoOverEveryUploadOnce) {
  SpoolFixture f;
  for (uint64_t i = 0; i < 7; ++i) ASSERT_TRUE(f.Put(MakeUpload(i, kSmall)));
  const auto reader = SpoolReader::Open(f.options.folder, f.disk);
  std::set<UploadId> seen;
  std::optional<UploadId> last;
  for (;;) {
    const auto page = (*reader)->PendingAfter(last, 3);
    for (const auto& upload : *page) EXPECT_TRUE(seen.insert(upload.id).second);
    if (page->size() < 3) break;
    last = page->back().id;
  }
  EXPECT_EQ(seen.size(), 7u);
}

TEST(SpoolReader, MakesNoSpoolWhereThereIsNone) {
  const TemporaryFolder folder;
  EXPECT_EQ(CodeOf(SpoolReader::Open(folder.path(), RealFileSystem())), Code::kNotFound);
  EXPECT_TRUE(RealFileSystem().List(folder.path())->empty());
  // Nor one whose daemon is about to make it.
  const auto made = Database::Open(SpoolIndex::FileIn(folder.path()));
  ASSERT_TRUE(made);
  EXPECT_EQ(CodeOf(SpoolReader::Open(folder.path(), RealFileSystem())), Code::kNotFound);
}

}  // namespace
}  // namespace tributary::spool_reader_test

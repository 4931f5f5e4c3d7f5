#include "protocol/spool/spool_schema.h"

#include "protocol/spool/spool.h"
#include "protocol/spool/spool_reader.h"
#include "tests/protocol/spool/spool_fixture.h"

namespace tributary::spool_schema_test {
namespace {

// The first form of the index, as spools in the field have it: frozen.
constexpr std::string_view kFirst[] = {R"sql(
  CREATE TABLE uploads (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of arrival
    upload BLOB NOT NULL UNIQUE,
    kind INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    task TEXT NOT NULL,
    base INTEGER NOT NULL,
    device TEXT NOT NULL,
    expires INTEGER NOT NULL,                    -- Unix milliseconds, 0: never
    chunk_size INTEGER NOT NULL,
    chunk_count INTEGER NOT NULL,
    ciphertext_size INTEGER NOT NULL,
    ciphertext_digest BLOB NOT NULL,
    in_index INTEGER NOT NULL,                   -- 1: the payload is in `chunks`, 0: in a file
    state INTEGER NOT NULL,                      -- UploadState
    next_chunk INTEGER NOT NULL,
    touched INTEGER NOT NULL,                    -- Unix milliseconds of the last chunk
    envelope BLOB NOT NULL);
  CREATE INDEX uploads_order ON uploads (state, priority, sequence);
  CREATE INDEX uploads_contribution ON uploads (task, base, device) WHERE kind = 1;
  CREATE INDEX uploads_expiry ON uploads (expires) WHERE expires <> 0;
  CREATE TABLE chunks (upload BLOB NOT NULL, chunk INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (upload, chunk));
  CREATE TABLE delivered (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    upload BLOB NOT NULL UNIQUE,
    task TEXT, base INTEGER, device TEXT);       -- of updates only
  CREATE UNIQUE INDEX delivered_contribution ON delivered (task, base, device) WHERE task IS NOT NULL;
  CREATE INDEX delivered_ids ON delivered (sequence) WHERE task IS NULL;
  CREATE TABLE dead_letters (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    upload BLOB NOT NULL UNIQUE,
    kind INTEGER NOT NULL,
    task TEXT NOT NULL,
    device TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    reason INTEGER NOT NULL,                     -- Code
    buried INTEGER NOT NULL);                    -- Unix milliseconds
  CREATE TABLE counters (
    kind INTEGER NOT NULL, what INTEGER NOT NULL, code INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (kind, what, code)) WITHOUT ROWID;
)sql"};

class SpoolSchema : public ::testing::Test {
 protected:
  SpoolSchema() {
    TRIBUTARY_CHECK(RealFileSystem().CreateFolders(folder_ / "spool" / "payloads").has_value());
    database_ = std::move(*Database::Open(folder_ / "spool" / "index.sqlite"));
    TRIBUTARY_CHECK(database_->Migrate(kFirst).has_value());
  }
  void Store(const TestUpload& upload, UploadState state) {
    const SpooledUpload facts = FactsOf(upload.header);
    Must(database_->Execute(
        "INSERT INTO uploads (upload, kind, priority, task, base, device, expires, chunk_size, chunk_count, "
        "ciphertext_size, ciphertext_digest, in_index, state, next_chunk, touched, envelope) "
        "VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, 1, ?, ?, 0, ?)",
        facts.id, facts.kind, facts.priority, facts.task, facts.base_version, facts.device, facts.chunk_size,
        facts.chunk_count, facts.ciphertext_size, facts.ciphertext_digest, state,
        state == UploadState::kComplete ? facts.chunk_count : 0, upload.envelope));
    Must(database_->Execute("INSERT INTO counters VALUES (?, 1, 0, 1)", facts.kind));
    if (state == UploadState::kComplete)
      Must(database_->Execute("INSERT INTO chunks VALUES (?, 0, ?)", facts.id, upload.payload));
  }
  static void Must(const Result<int64_t>& done) { TRIBUTARY_CHECK(done.has_value()) << done.error().ToString(); }

  TemporaryFolder folder_;
  ManualClock clock_;
  QueueExecutor worker_;
  std::unique_ptr<Database> database_;
};

TEST_F(SpoolSchema, ASpoolOfTheFirstFormGoesOn) {
  const TestUpload waiting = MakeUpload(1, kSmall);
  const TestUpload partial = MakeUpload(2, kSmall, UploadKind::kDeviceState);
  const TestUpload dead = MakeUpload(3, kSmall, UploadKind::kEvaluation);
  Store(waiting, UploadState::kComplete);
  Store(partial, UploadState::kPartial);
  Must(database_->Execute("INSERT INTO dead_letters VALUES (1, ?, 2, 'digits', 'device-3', 2016, ?, 5)", dead.id(),
                          Code::kNotFinite));
  Must(database_->Execute("INSERT INTO counters VALUES (2, 1, 0, 1), (2, 5, ?, 1)", Code::kNotFinite));
  database_.reset();
  // A reader changes nothing, so it cannot read this form.
  const auto early = SpoolReader::Open(folder_ / "spool", RealFileSystem());
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code, Code::kVersionUnsupported);

  const auto spool = Spool::Open({.folder = folder_ / "spool"}, RealFileSystem(), clock_, worker_);
  ASSERT_TRUE(spool) << spool.error().ToString();
  const SpoolAccount account = (*spool)->Account();
  EXPECT_TRUE(account.Balances());
  EXPECT_EQ(account.Spooled(), 1u);
  EXPECT_EQ(account.devices, 2u);
  EXPECT_EQ(account.bytes, waiting.payload.size() + partial.payload.size());
  EXPECT_EQ(account.unwritten, partial.payload.size());
  EXPECT_EQ(account.dead_letters, 1u);
  EXPECT_EQ(account.dead_bytes, 0u);
  EXPECT_EQ((*spool)->ReadChunk(waiting.id(), 0).value(), waiting.payload);
  const auto letters = (*spool)->DeadLetters(10);
  ASSERT_EQ(letters->size(), 1u);
  EXPECT_EQ((*letters)[0].reason, Code::kNotFinite);
  EXPECT_FALSE((*letters)[0].kept);
  Status delivered = Fail(Code::kTimeout, "");
  (*spool)->Delivered(waiting.id(), [&](Status status) { delivered = std::move(status); });
  worker_.Run();
  EXPECT_TRUE(delivered);
  EXPECT_EQ((*spool)->Account().devices, 1u);
  EXPECT_TRUE(SpoolReader::Open(folder_ / "spool", RealFileSystem()));
}

TEST_F(SpoolSchema, AFormOfTheFutureIsRefused) {
  Must(database_->Execute("PRAGMA user_version=99"));
  database_.reset();
  const auto spool = Spool::Open({.folder = folder_ / "spool"}, RealFileSystem(), clock_, worker_);
  ASSERT_FALSE(spool);
  EXPECT_EQ(spool.error().code, Code::kVersionUnsupported);
  const auto reader = SpoolReader::Open(folder_ / "spool", RealFileSystem());
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().code, Code::kVersionUnsupported);
}

}  // namespace
}  // namespace tributary::spool_schema_test

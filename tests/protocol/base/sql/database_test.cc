#include "protocol/base/sql/database.h"

#include <unistd.h>

#include <fstream>
#include <limits>

#include <gtest/gtest.h>

namespace tributary::database_test {
namespace {

class DatabaseTest : public testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/tributary-sql-XXXXXX";
    folder_ = mkdtemp(folder);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::unique_ptr<Database> Open() {
    auto database = Database::Open(folder_ / "test db.sqlite");
    EXPECT_TRUE(database) << database.error().ToString();
    return std::move(*database);
  }
  Path folder_;
};

TEST_F(DatabaseTest, EveryKindOfValueRoundTripsExactly) {
  auto database = Open();
  ASSERT_TRUE(database->Execute("CREATE TABLE cells (id INTEGER PRIMARY KEY, cell)"));
  Bytes all_bytes;
  for (int round = 0; round < 20; ++round) {
    for (int byte = 0; byte < 256; ++byte) all_bytes.push_back(static_cast<uint8_t>(byte));
  }
  const std::vector<Value> values = {nullptr,
                                     std::numeric_limits<int64_t>::min(),
                                     std::numeric_limits<int64_t>::max(),
                                     int64_t{(1ll << 53) + 1},
                                     0.1,
                                     std::numeric_limits<double>::denorm_min(),
                                     std::string(),
                                     std::string("with\0nul", 8),
                                     std::string("größer"),
                                     Bytes(),
                                     Bytes{0},
                                     Bytes{0, 0, 39, 0},
                                     all_bytes};
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_TRUE(database->Execute("INSERT INTO cells VALUES (?, ?)", i, values[i]));
  const auto rows = database->Query("SELECT cell FROM cells ORDER BY id");
  ASSERT_TRUE(rows) << rows.error().ToString();
  ASSERT_EQ(rows->size(), values.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ((*rows)[i][0], values[i]) << "value " << i;
}

TEST_F(DatabaseTest, IntegersStayExactWhateverTheColumnDeclares) {
  auto database = Open();
  ASSERT_TRUE(database->Execute("CREATE TABLE sums (a INTEGER, b BIGINT)"));
  const int64_t large = (1ll << 62) + 1;
  ASSERT_TRUE(database->Execute("INSERT INTO sums VALUES (?, ?)", large, ~uint64_t{0}));
  const auto rows = database->Query("SELECT a, b, count(*), sum(a) FROM sums");
  ASSERT_TRUE(rows);
  EXPECT_EQ((*rows)[0].Int(0), large);
  EXPECT_EQ(static_cast<uint64_t>((*rows)[0].Int(1)), ~uint64_t{0});
  EXPECT_EQ((*rows)[0].Int(2), 1);
  EXPECT_EQ((*rows)[0].Int(3), large);
}

TEST_F(DatabaseTest, IdsNamesEnumsAndOptionalsBind) {
  auto database = Open();
  ASSERT_TRUE(database->Execute("CREATE TABLE t (id BLOB, task TEXT, version INTEGER, maybe INTEGER)"));
  UploadId id;
  id.mutable_view()[3] = 7;
  ASSERT_TRUE(database->Execute("INSERT INTO t VALUES (?, ?, ?, ?)", id, *TaskId::Parse("digits"), ModelVersion{3},
                                std::optional<int>()));
  const auto rows = database->Query("SELECT * FROM t WHERE id = :id AND task = :task AND id = :id", id, "digits");
  ASSERT_TRUE(rows) << rows.error().ToString();
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ(*UploadId::FromBytes((*rows)[0].Blob(0)), id);
  EXPECT_EQ((*rows)[0].Text(1), "digits");
  EXPECT_EQ((*rows)[0].Int(2), 3);
  EXPECT_TRUE((*rows)[0].IsNull(3));
}

TEST_F(DatabaseTest, ExecuteCountsChangedRows) {
  auto database = Open();
  ASSERT_TRUE(database->Execute("CREATE TABLE t (a INTEGER)"));
  EXPECT_EQ(database->Execute("INSERT INTO t VALUES (1), (2), (3)").value(), 3);
  EXPECT_EQ(database->Execute("UPDATE t SET a = a + 1 WHERE a > ?", 1).value(), 2);
  EXPECT_EQ(database->Execute("DELETE FROM t WHERE a = 99").value(), 0);
}

TEST_F(DatabaseTest, TransactionWithoutCommitLeavesNothing) {
  auto database = Open();
  ASSERT_TRUE(database->Execute("CREATE TABLE t (a INTEGER)"));
  {
    auto transaction = Transaction::Begin(*database);
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(database->Execute("INSERT INTO t VALUES (1)"));
  }
  EXPECT_TRUE(database->Query("SELECT a FROM t")->empty());
  {
    auto transaction = Transaction::Begin(*database);
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(database->Execute("INSERT INTO t VALUES (2)"));
    ASSERT_TRUE(transaction->Commit());
  }
  database = Open();
  EXPECT_EQ(database->Query("SELECT a FROM t")->at(0).Int(0), 2);
}

TEST_F(DatabaseTest, StatementsAreReusedWithoutOldBindings) {
  auto database = Open();
  ASSERT_TRUE(database->Execute("CREATE TABLE t (a INTEGER, b TEXT)"));
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(database->Execute("INSERT INTO t VALUES (?, ?)", i, std::to_string(i)));
  for (int i = 0; i < 1000; i += 97)
    EXPECT_EQ(database->Query("SELECT b FROM t WHERE a = ?", i)->at(0).Text(0), std::to_string(i));
}

TEST_F(DatabaseTest, MigrationsRunOnceEach) {
  const std::string_view first = "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1);";
  const std::string_view second = "ALTER TABLE t ADD COLUMN b INTEGER; UPDATE t SET b = a + 1;";
  const std::string_view one[] = {first};
  const std::string_view both[] = {first, second};
  ASSERT_TRUE(Open()->Migrate(one));
  auto database = Open();
  ASSERT_TRUE(database->Migrate(both));
  ASSERT_TRUE(database->Migrate(both));
  const auto rows = database->Query("SELECT a, b FROM t");
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ((*rows)[0].Int(1), 2);
  const auto older = database->Migrate(one);
  ASSERT_FALSE(older);
  EXPECT_EQ(older.error().code, Code::kVersionUnsupported);
}

TEST_F(DatabaseTest, FailedMigrationLeavesThePreviousVersion) {
  const std::string_view steps[] = {"CREATE TABLE t (a INTEGER)",
                                    "CREATE TABLE u (a INTEGER); CREATE TABLE t (a INTEGER)"};
  auto database = Open();
  EXPECT_FALSE(database->Migrate(steps));
  EXPECT_EQ(database->Query("PRAGMA user_version")->at(0).Int(0), 0) << "a reader finds nothing or everything";
  EXPECT_TRUE(database->Query("SELECT name FROM sqlite_master WHERE name IN ('t', 'u')")->empty());
  ASSERT_TRUE(database->Migrate(std::span(steps).first(1)));
  EXPECT_FALSE(database->Migrate(steps));
  EXPECT_EQ(database->Query("PRAGMA user_version")->at(0).Int(0), 1);
  EXPECT_TRUE(database->Query("SELECT name FROM sqlite_master WHERE name = 'u'")->empty());
}

TEST_F(DatabaseTest, SettingsAreTheDurableOnes) {
  auto database = Open();
  EXPECT_EQ(database->Query("PRAGMA journal_mode")->at(0).Text(0), "wal");
  EXPECT_EQ(database->Query("PRAGMA synchronous")->at(0).Int(0), 2);
  EXPECT_EQ(database->Query("PRAGMA foreign_keys")->at(0).Int(0), 1);
}

TEST_F(DatabaseTest, ErrorsHaveTheirCodes) {
  auto database = Open();
  EXPECT_EQ(database->Execute("SELEKT 1").error().code, Code::kDatabase);
  ASSERT_TRUE(database->Execute("CREATE TABLE t (a INTEGER UNIQUE, pad BLOB)"));
  ASSERT_TRUE(database->Execute("INSERT INTO t (a) VALUES (1)"));
  EXPECT_EQ(database->Execute("INSERT INTO t (a) VALUES (1)").error().code, Code::kConflict);
  // SQLite's own limit on the file's size fails as a full disk does.
  ASSERT_TRUE(database->Query("PRAGMA max_page_count = 4"));
  EXPECT_EQ(database->Execute("INSERT INTO t VALUES (2, ?)", Bytes(100'000)).error().code, Code::kDiskFull);
  EXPECT_EQ(database->Query("SELECT count(*) FROM t")->at(0).Int(0), 1);

  std::ofstream(folder_ / "garbage") << std::string(4096, 'x');
  EXPECT_EQ(Database::Open(folder_ / "garbage").error().code, Code::kCorrupt);
  EXPECT_EQ(Database::Open(folder_ / "absent" / "db").error().code, Code::kIo);
}

}  // namespace
}  // namespace tributary::database_test

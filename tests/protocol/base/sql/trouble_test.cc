#include <algorithm>

#include <gtest/gtest.h>

#include "protocol/base/sql/database.h"
#include "tests/support/must.h"
#include "tests/support/power_disk.h"
#include "tests/support/temporary_folder.h"

namespace tributary::trouble_test {
namespace {

struct Trouble {
  DiskFault fault;
  Code code;
};
constexpr Trouble kTroubles[] = {
    {DiskFault::kFull, Code::kDiskFull}, {DiskFault::kIo, Code::kIo}, {DiskFault::kReadOnly, Code::kReadOnly}};

class DatabaseTrouble : public testing::Test {
 protected:
  std::unique_ptr<Database> OpenWithTable() {
    auto database = Must(Database::Open(folder / "db"));
    EXPECT_TRUE(database->Execute("CREATE TABLE IF NOT EXISTS t (a INTEGER, pad BLOB)"));
    return database;
  }
  static Status InsertThree(Database& database, int number) {
    ASSIGN_OR_RETURN(auto transaction, Transaction::Begin(database));
    for (int row = 0; row < 3; ++row) {
      // This caller looks at the last status only.
      (void)database.Execute("INSERT INTO t VALUES (?, ?)", number, Bytes(3'000));
    }
    return transaction.Commit();
  }
  static std::vector<int64_t> Numbers(Database& database) {
    std::vector<int64_t> numbers;
    for (const Row& row : Must(database.Query("SELECT a FROM t ORDER BY a, rowid"))) numbers.push_back(row.Int(0));
    return numbers;
  }

  TemporaryFolder folder;
  PowerDisk disk{folder.path()};
};

TEST_F(DatabaseTrouble, EveryFailedWriteHasItsCodeAndLeavesTheDatabaseUsable) {
  const auto database = OpenWithTable();
  int64_t number = 0;
  std::vector<int64_t> expected;
  for (const Trouble& trouble : kTroubles) {
    for (uint64_t at = 0; at < 8; ++at) {
      disk.FailAfter(at, trouble.fault);
      const Status status = InsertThree(*database, static_cast<int>(++number));
      if (status) {
        EXPECT_EQ(disk.failed(), 0u);
        expected.insert(expected.end(), 3, number);
      } else {
        EXPECT_EQ(status.error().code, trouble.code) << status.error().message;
        EXPECT_FALSE(InsertThree(*database, static_cast<int>(++number))) << "it still lasts";
      }
      EXPECT_EQ(Numbers(*database), expected) << "reading goes on";
      disk.Free();
      ASSERT_TRUE(InsertThree(*database, static_cast<int>(++number)));
      expected.insert(expected.end(), 3, number);
      EXPECT_EQ(Numbers(*database), expected);
    }
  }
}

TEST_F(DatabaseTrouble, NothingOfATransactionIsStoredThatTheDatabaseUndidInTheMiddle) {
  const auto database = OpenWithTable();
  // The pages of one transaction do not fit the cache, so they are written before its end.
  Must(database->Query("PRAGMA cache_size = 10"));
  auto transaction = Must(Transaction::Begin(*database));
  disk.FailAfter(0, DiskFault::kFull);
  Status failed;
  for (int row = 0; row < 100 && failed; ++row) {
    if (auto done = database->Execute("INSERT INTO t VALUES (1, ?)", Bytes(3'000)); !done) failed = Fail(done.error());
  }
  ASSERT_FALSE(failed);
  disk.Free();
  EXPECT_EQ(database->Execute("INSERT INTO t VALUES (2, NULL)").error().code, Code::kDiskFull);
  EXPECT_EQ(transaction.Commit().error().code, Code::kDiskFull);
  EXPECT_EQ(Numbers(*database), std::vector<int64_t>{});
  ASSERT_TRUE(database->Execute("INSERT INTO t VALUES (3, NULL)"));
  EXPECT_EQ(Numbers(*database), std::vector<int64_t>{3});
}

TEST_F(DatabaseTrouble, OpeningSaysWhyItCannot) {
  for (const Trouble& trouble : kTroubles) {
    disk.FailAfter(0, trouble.fault);
    EXPECT_EQ(Database::Open(folder / "new").error().code, trouble.code);
    disk.Free();
    EXPECT_TRUE(Database::Open(folder / "new"));
    Must(disk.Remove(folder / "new"));
  }
}

// A commit that waited for no sync is in the log before one that does; a failed sync in between may have lost it, and
// everything behind it would be lost with it.
TEST_F(DatabaseTrouble, ACommitAfterAFailedSyncIsDurableWithAllThatCameBefore) {
  const auto database = OpenWithTable();
  Must(database->Query("PRAGMA synchronous = NORMAL"));
  ASSERT_TRUE(database->Execute("INSERT INTO t VALUES (1, NULL)"));
  Must(database->Query("PRAGMA synchronous = FULL"));
  disk.FailAfter(1, DiskFault::kIo, 1);  // the write succeeds, the sync does not
  EXPECT_EQ(database->Execute("INSERT INTO t VALUES (2, NULL)").error().code, Code::kIo);
  ASSERT_EQ(disk.failed(), 1u);
  ASSERT_TRUE(database->Execute("INSERT INTO t VALUES (3, NULL)"));
  const TemporaryFolder cut;
  disk.PowerCut(disk.operations(), 0, cut.path());
  EXPECT_EQ(Numbers(*Must(Database::Open(cut / "db"))), (std::vector<int64_t>{1, 3}));
}

// The same when the one who saw the sync fail has ended since.
TEST_F(DatabaseTrouble, TheNextToOpenADatabaseTrustsNoLogThatItFinds) {
  {
    const auto database = OpenWithTable();
    Must(database->Query("PRAGMA synchronous = NORMAL"));
    ASSERT_TRUE(database->Execute("INSERT INTO t VALUES (1, NULL)"));
    Must(database->Query("PRAGMA synchronous = FULL"));
    disk.FailAfter(1, DiskFault::kIo);
    EXPECT_EQ(database->Execute("INSERT INTO t VALUES (2, NULL)").error().code, Code::kIo);
  }
  disk.Free();
  const auto database = Must(Database::Open(folder / "db"));
  ASSERT_TRUE(database->Execute("INSERT INTO t VALUES (3, NULL)"));
  const TemporaryFolder cut;
  disk.PowerCut(disk.operations(), 0, cut.path());
  const auto numbers = Numbers(*Must(Database::Open(cut / "db")));
  EXPECT_EQ(std::ranges::count(numbers, 1), 1);
  EXPECT_EQ(std::ranges::count(numbers, 3), 1);
}

}  // namespace
}  // namespace tributary::trouble_test

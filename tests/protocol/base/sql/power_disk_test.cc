#include "tests/support/power_disk.h"

#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "protocol/base/sql/database.h"
#include "tests/support/must.h"
#include "tests/support/seeded_random.h"
#include "tests/support/temporary_folder.h"

namespace tributary::power_disk_test {
namespace {

Bytes Filled(size_t size, uint8_t with) { return Bytes(size, with); }

// A power disk in a folder, and what is left of it after a cut.
class PowerDiskTest : public testing::Test {
 protected:
  // The files after the cut, with their bytes.
  std::map<std::string, Bytes> After(uint64_t point, uint64_t seed) {
    const TemporaryFolder cut;
    disk.PowerCut(point, seed, cut.path());
    std::map<std::string, Bytes> all;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(cut.path())) {
      if (entry.is_directory()) continue;
      all[entry.path().lexically_relative(cut.path()).string()] =
          Must(ReadFile(RealFileSystem(), entry.path(), 1 << 30));
    }
    return all;
  }
  std::map<std::string, Bytes> After(uint64_t seed) { return After(disk.operations(), seed); }

  TemporaryFolder folder;
  PowerDisk disk{folder.path()};
};

using Files = std::map<std::string, Bytes>;

TEST_F(PowerDiskTest, AFilesSyncPromisesItsBytesAndAFoldersSyncItsName) {
  const auto file = Must(disk.OpenForWrite(folder / "a"));
  Must(file->WriteAt(0, Filled(3, 'x')));
  EXPECT_EQ(After(0), Files{});
  EXPECT_EQ(After(1), (Files{{"a", Filled(3, 'x')}}));
  Must(file->Sync());
  EXPECT_EQ(After(0), Files{}) << "nobody promised the name";
  Must(disk.SyncFolder(folder.path()));
  EXPECT_EQ(After(0), (Files{{"a", Filled(3, 'x')}}));
  Must(file->WriteAt(3, Filled(2, 'y')));
  EXPECT_EQ(After(0), (Files{{"a", Filled(3, 'x')}}));
  EXPECT_EQ(disk.operations(), 5u) << "create, write, sync, sync of the folder, write";
  EXPECT_EQ(After(2, 1), (Files{{"a", Filled(3, 'x')}}));
  EXPECT_EQ(After(1, 1), (Files{{"a", {}}}));
}

TEST_F(PowerDiskTest, UnsyncedBytesAreThereBySectorOrPageInAnyOrder) {
  const auto file = Must(disk.OpenForWrite(folder / "a"));
  Must(file->WriteAt(0, Filled(16'384, 'o')));
  Must(file->Sync());
  Must(disk.SyncFolder(folder.path()));
  Must(file->WriteAt(0, Filled(8'192, '1')));
  Must(file->WriteAt(4'096, Filled(8'192, '2')));
  std::set<std::string> seen;
  for (uint64_t seed = 2; seed < 60; ++seed) {
    const Bytes content = After(seed).at("a");
    const size_t block = seed % 2 == 0 ? 512 : 4'096;
    ASSERT_EQ(content.size(), 16'384u);
    std::string pages;
    for (size_t at = 0; at < content.size(); at += block) {
      const std::set<uint8_t> values(content.begin() + static_cast<ptrdiff_t>(at),
                                     content.begin() + static_cast<ptrdiff_t>(at + block));
      ASSERT_EQ(values.size(), 1u) << "a block is never torn";
      const size_t page = at / 4'096;
      const std::string allowed = page == 0 ? "o1" : page == 1 ? "o12" : page == 2 ? "o2" : "o";
      ASSERT_NE(allowed.find(static_cast<char>(*values.begin())), std::string::npos) << "seed " << seed;
      pages += static_cast<char>(*values.begin());
    }
    if (block == 4'096) seen.insert(pages);
  }
  EXPECT_GE(seen.size(), 8u) << "of the twelve that are possible";
  EXPECT_TRUE(seen.contains("oo2o") || seen.contains("o22o")) << "the later write without the earlier one";
}

TEST_F(PowerDiskTest, ARenameIsDoneOrNotAndNeverBoth) {
  Must(WriteFileAtomically(disk, folder / "a", Filled(10, 'o')));
  const uint64_t before = disk.operations();
  Must(WriteFileAtomically(disk, folder / "a", Filled(10, 'n')));
  std::set<uint8_t> seen;
  for (uint64_t point = before; point <= disk.operations(); ++point) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const Files files = After(point, seed);
      ASSERT_TRUE(files.contains("a")) << "point " << point << ", seed " << seed;
      ASSERT_TRUE(files.at("a") == Filled(10, 'o') || files.at("a") == Filled(10, 'n'));
      seen.insert(files.at("a")[0]);
    }
  }
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_EQ(After(0), (Files{{"a", Filled(10, 'n')}}));
}

TEST_F(PowerDiskTest, AFailedSyncPromisesNothingAndTheNextOneNothingMore) {
  const auto file = Must(disk.OpenForWrite(folder / "a"));
  Must(disk.SyncFolder(folder.path()));
  Must(file->WriteAt(0, Filled(10, 'x')));
  disk.FailAfter(0, DiskFault::kIo, 1);
  EXPECT_EQ(file->Sync().error().code, Code::kIo);
  Must(file->Sync());
  EXPECT_EQ(After(0), (Files{{"a", {}}})) << "the kernel told the error once and dropped the pages";
  Must(file->WriteAt(0, Filled(10, 'y')));
  Must(file->Sync());
  EXPECT_EQ(After(0), (Files{{"a", Filled(10, 'y')}}));
}

TEST_F(PowerDiskTest, FoldersThatWereMadeAreDurableAndWhatWasThereIsToo) {
  Must(disk.CreateFolders(folder / "b" / "c"));
  const auto file = Must(disk.OpenForWrite(folder / "b" / "c" / "d"));
  Must(file->WriteAt(0, Filled(1, 'x')));
  Must(file->Sync());
  Must(disk.SyncFolder(folder / "b" / "c"));
  EXPECT_EQ(After(0), (Files{{"b/c/d", Filled(1, 'x')}}));
  const TemporaryFolder cut;
  disk.PowerCut(disk.operations(), 0, cut.path());
  const PowerDisk next(cut.path());
  const TemporaryFolder again;
  next.PowerCut(0, 0, again.path());
  EXPECT_EQ(Must(ReadFile(RealFileSystem(), again / "b" / "c" / "d", 10)), Filled(1, 'x'));
}

TEST_F(PowerDiskTest, FaultsHaveTheirCodesAndPass) {
  const auto file = Must(disk.OpenForWrite(folder / "a"));
  disk.FailAfter(1, DiskFault::kFull);
  Must(file->WriteAt(0, Filled(8, 'x')));
  EXPECT_EQ(file->WriteAt(8, Filled(8, 'y')).error().code, Code::kDiskFull);
  EXPECT_EQ(Must(disk.Size(folder / "a")), 12u) << "half of it";
  EXPECT_EQ(disk.OpenForWrite(folder / "b").error().code, Code::kDiskFull);
  EXPECT_EQ(Must(disk.Space(folder.path())).free_bytes, 0u);
  Must(file->Sync());
  Must(disk.Rename(folder / "a", folder / "c"));
  EXPECT_EQ(disk.failed(), 2u);
  disk.FailAfter(0, DiskFault::kReadOnly);
  EXPECT_EQ(disk.Remove(folder / "c").error().code, Code::kReadOnly);
  EXPECT_EQ(disk.OpenForWrite(folder / "c").error().code, Code::kReadOnly);
  disk.Free();
  Must(disk.Remove(folder / "c"));
}

// SQLite's promise, seen from outside: after every operation, whatever was lost, a database opens with all transactions
// that were committed by then, and each of them whole.
TEST_F(PowerDiskTest, ADatabaseKeepsEveryCommitThroughEveryCut) {
  std::vector<uint64_t> committed;  // operations when the n-th commit returned
  {
    const auto database = Must(Database::Open(folder / "db"));
    ASSERT_TRUE(database->Execute("CREATE TABLE t (a INTEGER, pad BLOB)"));
    committed.push_back(disk.operations());
    SeededRandom random(1);
    for (int number = 1; number <= 12; ++number) {
      auto transaction = Must(Transaction::Begin(*database));
      for (int row = 0; row < 3; ++row)
        ASSERT_TRUE(database->Execute("INSERT INTO t VALUES (?, ?)", number, random.TakeBytes(random.Below(3'000))));
      ASSERT_TRUE(transaction.Commit());
      committed.push_back(disk.operations());
      if (number == 8) Must(database->Query("PRAGMA wal_checkpoint(RESTART)"));
    }
  }
  int lost_something = 0;
  for (uint64_t point = committed.front(); point <= disk.operations(); ++point) {
    for (uint64_t seed = 0; seed < 4; ++seed) {
      const TemporaryFolder cut;
      disk.PowerCut(point, seed + (seed < 2 ? 0 : 2 * point), cut.path());
      const auto database = Must(Database::Open(cut / "db"));
      const auto rows = Must(database->Query("SELECT count(*), count(DISTINCT a), coalesce(max(a), 0) FROM t"));
      const int64_t transactions = rows[0].Int(2);
      EXPECT_EQ(rows[0].Int(0), 3 * transactions) << "point " << point << ", seed " << seed;
      EXPECT_EQ(rows[0].Int(1), transactions);
      const auto promised = std::ranges::upper_bound(committed, point) - committed.begin() - 1;
      EXPECT_GE(transactions, promised) << "point " << point << ", seed " << seed;
      lost_something += transactions < 12 ? 1 : 0;
    }
  }
  EXPECT_GT(lost_something, 40);
}

// The same without the syncs is not safe: what shows that the disk tests something.
TEST_F(PowerDiskTest, ADatabaseWithoutSyncsLosesCommits) {
  const auto database = Must(Database::Open(folder / "db"));
  ASSERT_TRUE(database->Execute("CREATE TABLE t (a INTEGER)"));
  Must(database->Query("PRAGMA synchronous = NORMAL"));
  ASSERT_TRUE(database->Execute("INSERT INTO t VALUES (1)"));
  const TemporaryFolder cut;
  disk.PowerCut(disk.operations(), 0, cut.path());
  EXPECT_TRUE(Must(Must(Database::Open(cut / "db"))->Query("SELECT a FROM t")).empty());
}

}  // namespace
}  // namespace tributary::power_disk_test

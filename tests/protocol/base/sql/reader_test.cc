#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <map>

#include <gtest/gtest.h>

#include "protocol/base/sql/database.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"

namespace tributary::reader_test {
namespace {

// The sum of the rows, or minus the code of what kept it from reading.
int64_t ReadSum(const Path& path) {
  const auto failed = [](const Error& error) { return -static_cast<int64_t>(error.code); };
  auto database = Database::OpenReadOnly(path);
  if (!database) return failed(database.error());
  const auto rows = (*database)->Query("SELECT total(a) FROM t");
  if (!rows) return failed(rows.error());
  return static_cast<int64_t>(rows->at(0).Real(0));
}

// Another process that reads a database whenever it is asked. It must be forked before this one opens the database:
// SQLite's locks do not survive a fork.
class OtherReader {
 public:
  explicit OtherReader(const Path& path) {
    TRIBUTARY_CHECK(pipe(ask_.data()) == 0 && pipe(tell_.data()) == 0);
    child_ = fork();
    if (child_ != 0) return;
    close(ask_[1]);
    for (char word; read(ask_[0], &word, 1) == 1;) {
      const int64_t sum = ReadSum(path);
      if (write(tell_[1], &sum, sizeof(sum)) != sizeof(sum)) break;
    }
    _exit(0);
  }
  ~OtherReader() {
    for (const int end : {ask_[0], ask_[1], tell_[0], tell_[1]}) close(end);
    int status = 0;
    EXPECT_EQ(waitpid(child_, &status, 0), child_);
    EXPECT_EQ(status, 0);
  }
  int64_t Sum() {
    int64_t sum = 0;
    TRIBUTARY_CHECK(write(ask_[1], "?", 1) == 1 && read(tell_[0], &sum, sizeof(sum)) == sizeof(sum));
    return sum;
  }

 private:
  std::array<int, 2> ask_{};
  std::array<int, 2> tell_{};
  pid_t child_ = 0;
};

std::map<std::string, Bytes> FilesIn(const Path& folder) {
  std::map<std::string, Bytes> all;
  for (const auto& name : Must(RealFileSystem().List(folder)))
    all[name] = Must(ReadFile(RealFileSystem(), folder / name, 1 << 30));
  return all;
}

TEST(DatabaseReader, AnotherProcessReadsWhatIsCommittedWhileOneWrites) {
  const TemporaryFolder folder;
  const Path path = folder / "odd \"name\'?#%41.sqlite";
  OtherReader reader(path);
  EXPECT_EQ(reader.Sum(), -static_cast<int64_t>(Code::kNotFound));
  EXPECT_TRUE(FilesIn(folder.path()).empty());

  auto writer = Must(Database::Open(path));
  ASSERT_TRUE(writer->Execute("CREATE TABLE t (a INTEGER)"));
  ASSERT_TRUE(writer->Execute("INSERT INTO t VALUES (1)"));
  EXPECT_EQ(reader.Sum(), 1);
  {
    auto transaction = Must(Transaction::Begin(*writer));
    ASSERT_TRUE(writer->Execute("INSERT INTO t VALUES (10)"));
    EXPECT_EQ(reader.Sum(), 1);
    ASSERT_TRUE(transaction.Commit());
  }
  EXPECT_EQ(reader.Sum(), 11);
  ASSERT_TRUE(writer->Execute("INSERT INTO t VALUES (100)")) << "the reader holds nothing";
  EXPECT_EQ(reader.Sum(), 111);

  writer.reset();
  const auto before = FilesIn(folder.path());
  EXPECT_EQ(before.size(), 1u) << "a closed database is one file";
  EXPECT_EQ(reader.Sum(), 111);
  EXPECT_EQ(FilesIn(folder.path()), before);
  Must(Database::Open(path));
  EXPECT_EQ(reader.Sum(), 111);
}

// A power cut leaves the file and its log, without the log's index.
TEST(DatabaseReader, ReadsTheLogOfADatabaseThatNobodyClosed) {
  const TemporaryFolder folder;
  auto writer = Must(Database::Open(folder / "live"));
  ASSERT_TRUE(writer->Execute("CREATE TABLE t (a INTEGER)"));
  ASSERT_TRUE(writer->Execute("INSERT INTO t VALUES (7)"));
  std::filesystem::copy_file(folder / "live", folder / "cut");
  std::filesystem::copy_file(folder / "live-wal", folder / "cut-wal");
  const auto before = FilesIn(folder.path());
  EXPECT_EQ(ReadSum(folder / "cut"), 7);
  auto after = FilesIn(folder.path());
  after.erase("cut-shm");
  EXPECT_EQ(after, before);
  EXPECT_EQ(Must(Database::Open(folder / "cut"))->Query("SELECT a FROM t")->at(0).Int(0), 7);
}

TEST(DatabaseReader, NeverWrites) {
  const TemporaryFolder folder;
  const Path path = folder / "db";
  const std::string_view steps[] = {"CREATE TABLE t (a INTEGER)", "CREATE TABLE u (a INTEGER)"};
  const auto writer = Must(Database::Open(path));
  ASSERT_TRUE(writer->Migrate(std::span(steps).first(1)));
  auto reader = Must(Database::OpenReadOnly(path));
  EXPECT_TRUE(reader->Migrate(std::span(steps).first(1)));
  EXPECT_EQ(reader->Migrate(steps).error().code, Code::kVersionUnsupported);
  EXPECT_EQ(reader->Execute("INSERT INTO t VALUES (1)").error().code, Code::kReadOnly);
  EXPECT_TRUE(reader->Query("SELECT a FROM t")->empty());

  std::ofstream(folder / "garbage") << std::string(4096, 'x');
  EXPECT_EQ(Database::OpenReadOnly(folder / "garbage").error().code, Code::kCorrupt);
}

}  // namespace
}  // namespace tributary::reader_test

#include "protocol/base/file.h"

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

namespace tributary::file_test {
namespace {

// Passes everything on to the real disk but fails at one step, as a full or broken disk would.
class FailingFileSystem final : public FileSystem {
 public:
  enum class Step { kOpen, kWrite, kSync, kRename, kSyncFolder };
  explicit FailingFileSystem(Step step) : step_(step) {}

  Result<std::unique_ptr<WritableFile>> OpenForWrite(const Path& path) override {
    RETURN_IF_ERROR(At(Step::kOpen));
    ASSIGN_OR_RETURN(auto file, real_.OpenForWrite(path));
    return std::make_unique<File>(*this, std::move(file));
  }
  Result<Bytes> ReadAt(const Path& path, uint64_t offset, size_t size) override {
    return real_.ReadAt(path, offset, size);
  }
  Result<uint64_t> Size(const Path& path) override { return real_.Size(path); }
  Status Rename(const Path& from, const Path& to) override {
    RETURN_IF_ERROR(At(Step::kRename));
    return real_.Rename(from, to);
  }
  Status Remove(const Path& path) override { return real_.Remove(path); }
  Status SyncFolder(const Path& folder) override {
    RETURN_IF_ERROR(At(Step::kSyncFolder));
    return real_.SyncFolder(folder);
  }
  Status CreateFolders(const Path& folder) override { return real_.CreateFolders(folder); }
  Result<std::vector<std::string>> List(const Path& folder) override { return real_.List(folder); }
  Result<DiskSpace> Space(const Path& folder) override { return RealFileSystem().Space(folder); }

 private:
  class File final : public WritableFile {
   public:
    File(FailingFileSystem& files, std::unique_ptr<WritableFile> real) : files_(files), real_(std::move(real)) {}
    Status WriteAt(uint64_t offset, ByteView bytes) override {
      const Status status = files_.At(Step::kWrite);
      // Half of it arrives, as when the disk fills up.
      RETURN_IF_ERROR(real_->WriteAt(offset, status ? bytes : bytes.first(bytes.size() / 2)));
      return status;
    }
    Status Sync() override {
      RETURN_IF_ERROR(files_.At(Step::kSync));
      return real_->Sync();
    }

   private:
    FailingFileSystem& files_;
    std::unique_ptr<WritableFile> real_;
  };

  Status At(Step step) const {
    if (step == step_) return Fail(Code::kDiskFull, "no space");
    return {};
  }

  Step step_;
  FileSystem& real_ = RealFileSystem();
};

class FileTest : public testing::Test {
 protected:
  std::string Content(const Path& path) const { return std::string(AsText(*ReadFile(files_, path, 1 << 20))); }
  void Write(const Path& path, std::string_view text) {
    ASSERT_TRUE(WriteFileAtomically(files_, path, AsBytes(text)).has_value());
  }

  const TemporaryFolder folder_;
  const Path path_ = folder_ / "file";
  FileSystem& files_ = RealFileSystem();
};

TEST_F(FileTest, AtomicWriteReplacesTheWholeFile) {
  Write(path_, "a long first content");
  Write(path_, "short");
  EXPECT_EQ(Content(path_), "short");
  EXPECT_EQ(*files_.List(folder_.path()), std::vector<std::string>{"file"});
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(FileTest, AFailureBeforeTheRenameLeavesTheOldContent) {
  using Step = FailingFileSystem::Step;
  Write(path_, "old");
  for (const Step step : {Step::kOpen, Step::kWrite, Step::kSync, Step::kRename}) {
    FailingFileSystem failing(step);
    const Status status = WriteFileAtomically(failing, path_, AsBytes("new content"));
    ASSERT_FALSE(status.has_value());
    EXPECT_EQ(status.error().code, Code::kDiskFull);
    EXPECT_EQ(Content(path_), "old");
    EXPECT_EQ(files_.List(folder_.path())->size(), 1u) << "a disk that is full needs the room";
  }
  Write(path_, "new");
  EXPECT_EQ(Content(path_), "new") << "what a failed attempt left beside it is not in the way";
}

TEST_F(FileTest, AFailureAfterTheRenameIsStillReported) {
  FailingFileSystem failing(FailingFileSystem::Step::kSyncFolder);
  EXPECT_FALSE(WriteFileAtomically(failing, path_, AsBytes("new")).has_value());
  EXPECT_EQ(Content(path_), "new");
}

TEST_F(FileTest, WritesAtAnyOffsetWithoutTruncating) {
  Write(path_, "0123456789");
  auto file = files_.OpenForWrite(path_);
  ASSERT_TRUE(file.has_value());
  ASSERT_TRUE((*file)->WriteAt(8, AsBytes("abcd")).has_value());
  ASSERT_TRUE((*file)->WriteAt(0, AsBytes("x")).has_value());
  ASSERT_TRUE((*file)->Sync().has_value());
  EXPECT_EQ(Content(path_), "x1234567abcd");
  EXPECT_EQ(*files_.Size(path_), 12u);
}

TEST_F(FileTest, AShortFileIsCorruptAndSaysHowMuchIsMissing) {
  Write(path_, "0123456789");
  EXPECT_EQ(AsText(*files_.ReadAt(path_, 4, 6)), "456789");
  const auto beyond = files_.ReadAt(path_, 4, 9);
  ASSERT_FALSE(beyond.has_value());
  EXPECT_EQ(beyond.error().code, Code::kCorrupt);
  EXPECT_NE(beyond.error().message.find("3 bytes are missing"), std::string::npos);
}

TEST_F(FileTest, LimitsAreInclusive) {
  Write(path_, "0123456789");
  EXPECT_TRUE(ReadFile(files_, path_, 10).has_value());
  EXPECT_EQ(ReadFile(files_, path_, 9).error().code, Code::kTooLarge);
}

TEST_F(FileTest, WhatIsAbsentIsNotFoundButMayBeRemoved) {
  EXPECT_EQ(ReadFile(files_, path_, 10).error().code, Code::kNotFound);
  EXPECT_EQ(files_.Size(path_).error().code, Code::kNotFound);
  EXPECT_EQ(files_.List(folder_ / "none").error().code, Code::kNotFound);
  EXPECT_EQ(files_.Rename(path_, folder_ / "b").error().code, Code::kNotFound);
  EXPECT_EQ(files_.OpenForWrite(folder_ / "none/file").error().code, Code::kNotFound);
  EXPECT_TRUE(files_.Remove(path_).has_value());
}

TEST_F(FileTest, ListsFilesInOrderWithoutFolders) {
  Write(folder_ / "b", "");
  Write(folder_ / "a", "");
  ASSERT_TRUE(files_.CreateFolders(folder_ / "c/d").has_value());
  EXPECT_EQ(*files_.List(folder_.path()), (std::vector<std::string>{"a", "b"}));
}

}  // namespace
}  // namespace tributary::file_test

#include "protocol/bundle/bundle_folder.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "protocol/bundle/bundle_format.h"
#include "protocol/bundle/export_bundle.h"
#include "tests/protocol/bundle/small_disk.h"
#include "tests/protocol/hop/hop_fixture.h"
#include "tests/support/must.h"

namespace tributary::bundle_folder_test {
namespace {

class BundleFolderTest : public ::testing::Test {
 protected:
  BundleFolderTest() {
    for (const size_t size : {100u, 20'000u, 4'096u}) uploads_.push_back(MakeSealed(world_, device_, size));
  }

  Result<BundleWriter::Added> Write(FileSystem& files, const SealedUpload& upload) {
    ASSIGN_OR_RETURN(BundleWriter writer, BundleWriter::Open(files, disk_.path()));
    ASSIGN_OR_RETURN(const BundleWriter::Added added, Add(writer, upload));
    RETURN_IF_ERROR(writer.Finish());
    return added;
  }
  static Result<BundleWriter::Added> Add(BundleWriter& writer, const SealedUpload& upload) {
    return writer.Add(FactsOf(upload.header), upload.envelope,
                      [&](uint32_t index) -> Result<Bytes> { return upload.chunks.at(index); });
  }
  void WriteAll() {
    for (const SealedUpload& upload : uploads_) Must(Write(RealFileSystem(), upload));
  }
  BundleFolder Open() { return Must(BundleFolder::Open(RealFileSystem(), disk_.path())); }
  Path FileOf(const SealedUpload& upload) const {
    return disk_ / "uploads" / bundle::UploadName(upload.header.subject.id);
  }
  void ExpectSame(const BundleFolder& folder, const SealedUpload& upload) {
    const UploadId& id = upload.header.subject.id;
    EXPECT_EQ(Must(folder.ReadEnvelope(id)), upload.envelope);
    for (uint32_t i = 0; i < upload.chunks.size(); ++i) EXPECT_EQ(Must(folder.ReadChunk(id, i)), upload.chunks[i]);
  }
  // The code for which the only upload is set aside when its file was changed like that.
  std::string SetAsideAfter(const std::function<void(Bytes& file)>& change) {
    const Path path = FileOf(uploads_[0]);
    Must(Write(RealFileSystem(), uploads_[0]));
    Bytes bytes = Must(ReadFile(RealFileSystem(), path, limits::kMiB));
    change(bytes);
    std::filesystem::remove(path);
    Must(WriteFileAtomically(RealFileSystem(), path, bytes));
    const BundleFolder folder = Open();
    EXPECT_EQ(folder.pending(), 0u);
    if (folder.set_aside().size() != 1) return "nothing";
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_EQ(folder.set_aside()[0].bytes, bytes.size());
    return std::string(Name(folder.set_aside()[0].why.code));
  }

  HopWorld world_;
  Identity device_ = world_.fleet.Issue(Role::kDevice, "device-1");
  TemporaryFolder disk_;
  std::vector<SealedUpload> uploads_;
};

TEST_F(BundleFolderTest, GivesBackWhatWasWritten) {
  WriteAll();
  const BundleFolder folder = Open();
  const auto pending = Must(folder.Pending(10));
  ASSERT_EQ(pending.size(), 3u);
  for (const SealedUpload& upload : uploads_) ExpectSame(folder, upload);
  EXPECT_EQ(Must(folder.Pending(2)).size(), 2u);
  EXPECT_EQ(folder.ReadChunk(uploads_[0].header.subject.id, 99).error().code, Code::kInvalidArgument);
  EXPECT_EQ(folder.ReadEnvelope(world_.random.TakeUploadId()).error().code, Code::kUnknownUpload);
}

TEST_F(BundleFolderTest, ImportantOnesComeFirstThenOlderOnes) {
  const SealedUpload report = MakeSealed(world_, device_, 100, ModelVersion{3}, "digits", UploadKind::kEvaluation);
  world_.clock.Advance(Millis(1'000));
  const SealedUpload late = MakeSealed(world_, device_, 100);
  Must(Write(RealFileSystem(), late));
  Must(Write(RealFileSystem(), report));
  Must(Write(RealFileSystem(), uploads_[0]));
  const auto pending = Must(Open().Pending(10));
  ASSERT_EQ(pending.size(), 3u);
  EXPECT_EQ(pending[0].id, uploads_[0].header.subject.id);
  EXPECT_EQ(pending[1].id, late.header.subject.id);
  EXPECT_EQ(pending[2].id, report.header.subject.id);
}

TEST_F(BundleFolderTest, WhatIsDeliveredGoesWhenItsReceiptIsThere) {
  WriteAll();
  BundleFolder folder = Open();
  const UploadId& id = uploads_[0].header.subject.id;
  Status answer = Fail(Code::kBusy, "not called");
  folder.Delivered(id, [&](const Status& status) { answer = status; });
  EXPECT_TRUE(answer);
  EXPECT_EQ(folder.delivered(), std::vector{id});
  EXPECT_EQ(folder.pending(), 2u);
  EXPECT_TRUE(std::filesystem::exists(FileOf(uploads_[0])));
  folder.Delivered(id, [&](const Status& status) { answer = status; });
  EXPECT_EQ(answer.error().code, Code::kUnknownUpload);
  Must(folder.Forget());
  EXPECT_FALSE(std::filesystem::exists(FileOf(uploads_[0])));
  EXPECT_TRUE(folder.delivered().empty());
  EXPECT_EQ(Open().pending(), 2u);
}

TEST_F(BundleFolderTest, WhatIsRefusedIsSetAsideWithTheReasonInItsName) {
  WriteAll();
  BundleFolder folder = Open();
  folder.Drop(uploads_[1].header.subject.id, Code::kStaleVersion, [](const Status& status) { Must(status); });
  EXPECT_EQ(folder.pending(), 2u);
  ASSERT_EQ(folder.set_aside().size(), 1u);
  EXPECT_TRUE(std::filesystem::exists(disk_ / "set-aside" /
                                      (bundle::UploadName(uploads_[1].header.subject.id) + ".stale-version")));
  EXPECT_EQ(Open().pending(), 2u);
}

TEST_F(BundleFolderTest, WhatCouldNotBeReadStaysForTheNextTry) {
  WriteAll();
  BundleFolder folder = Open();
  folder.Drop(uploads_[1].header.subject.id, Code::kIo, [](const Status& status) { Must(status); });
  EXPECT_EQ(folder.pending(), 2u);
  EXPECT_EQ(folder.set_aside().size(), 1u);
  EXPECT_EQ(Open().pending(), 3u);
}

TEST_F(BundleFolderTest, DamagedFilesAreSetAsideAndTold) {
  EXPECT_EQ(SetAsideAfter([](Bytes& file) { file.pop_back(); }), "corrupt");
  EXPECT_EQ(SetAsideAfter([](Bytes& file) { file.push_back(0); }), "corrupt");
  EXPECT_EQ(SetAsideAfter([](Bytes& file) { file.resize(10); }), "corrupt");
  EXPECT_EQ(SetAsideAfter([](Bytes& file) { file.resize(100); }), "corrupt");
  EXPECT_EQ(SetAsideAfter([](Bytes& file) { file[0] = 'X'; }), "malformed");
  EXPECT_EQ(SetAsideAfter([](Bytes& file) { file[15] = 0xff; }), "too-large");
  EXPECT_EQ(SetAsideAfter([](Bytes& file) { std::fill(file.begin() + 16, file.begin() + 80, uint8_t{0xff}); }),
            "malformed");
}

TEST_F(BundleFolderTest, AFileUnderAnothersNameIsSetAside) {
  Must(Write(RealFileSystem(), uploads_[0]));
  std::filesystem::rename(FileOf(uploads_[0]), FileOf(uploads_[1]));
  const BundleFolder folder = Open();
  EXPECT_EQ(folder.pending(), 0u);
  ASSERT_EQ(folder.set_aside().size(), 1u);
  EXPECT_EQ(folder.set_aside()[0].why.code, Code::kMalformed);
}

TEST_F(BundleFolderTest, StrangersInTheFolderAreLeftAlone) {
  Must(Write(RealFileSystem(), uploads_[0]));
  Must(WriteFileAtomically(RealFileSystem(), disk_ / "uploads/notes.txt", AsBytes("hello")));
  const BundleFolder folder = Open();
  EXPECT_EQ(folder.pending(), 1u);
  EXPECT_TRUE(folder.set_aside().empty());
  EXPECT_TRUE(std::filesystem::exists(disk_ / "uploads/notes.txt"));
}

TEST_F(BundleFolderTest, AnEmptyDiskIsAnEmptyBundleAndNoDiskIsAnError) {
  EXPECT_EQ(Open().pending(), 0u);
  EXPECT_EQ(BundleFolder::Open(RealFileSystem(), disk_ / "nowhere").error().code, Code::kNotFound);
}

TEST_F(BundleFolderTest, WritingAgainWritesNothing) {
  EXPECT_EQ(Must(Write(RealFileSystem(), uploads_[0])), BundleWriter::Added::kWritten);
  EXPECT_EQ(Must(Write(RealFileSystem(), uploads_[0])), BundleWriter::Added::kThereBefore);
}

TEST_F(BundleFolderTest, AnExportThatFailsAnywhereLeavesAUsableBundleAndGoesOn) {
  for (const Code code : {Code::kDiskFull, Code::kIo}) {
    for (int changes = 0;; ++changes) {
      std::filesystem::remove_all(disk_ / "uploads");
      SmallDisk small(changes, code);
      size_t written = 0;
      for (const SealedUpload& upload : uploads_) {
        const auto added = Write(small, upload);
        if (!added) {
          EXPECT_EQ(added.error().code, code);
          break;
        }
        ++written;
      }
      // Everything with its name is whole, and the next export adds the rest.
      const BundleFolder partial = Open();
      EXPECT_TRUE(partial.set_aside().empty()) << changes;
      EXPECT_GE(partial.pending(), written) << changes;
      WriteAll();
      const BundleFolder whole = Open();
      ASSERT_EQ(whole.pending(), 3u) << changes;
      for (const SealedUpload& upload : uploads_) ExpectSame(whole, upload);
      if (!small.failed()) break;
    }
  }
}

TEST_F(BundleFolderTest, ADiskWithoutRoomSaysSoBeforeItIsFilled) {
  SmallDisk small(1'000'000);
  small.free_bytes = 2 * limits::kMiB;
  EXPECT_TRUE(Write(small, uploads_[0]));
  small.free_bytes = limits::kMiB + 1'000;
  const auto added = Write(small, uploads_[1]);
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, Code::kDiskFull);
  EXPECT_EQ(Open().pending(), 1u);
}

TEST_F(BundleFolderTest, APayloadThatIsNotWhatWasAnnouncedIsNotExported) {
  SealedUpload damaged = uploads_[1];
  damaged.chunks[2][7] ^= 1;
  const auto added = Write(RealFileSystem(), damaged);
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, Code::kDigestMismatch);
  EXPECT_EQ(Open().pending(), 0u);
}

}  // namespace
}  // namespace tributary::bundle_folder_test

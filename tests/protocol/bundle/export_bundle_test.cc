#include "protocol/bundle/export_bundle.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "protocol/bundle/bundle_folder.h"
#include "protocol/bundle/bundle_format.h"
#include "protocol/spool/spool.h"
#include "tests/protocol/bundle/small_disk.h"
#include "tests/protocol/hop/hop_fixture.h"
#include "tests/support/must.h"

namespace tributary::export_bundle_test {
namespace {

// A gateway's spool that stays open, as a daemon's does, and a disk beside it.
class ExportBundleTest : public ::testing::Test {
 protected:
  ExportBundleTest() {
    SpoolOptions options;
    options.folder = world_.folder / "spool";
    spool_ = Must(Spool::Open(options, RealFileSystem(), world_.clock, world_.worker));
  }
  SealedUpload Put(int device, size_t size) {
    devices_.push_back(world_.fleet.Issue(Role::kDevice, "device-" + std::to_string(device)));
    SealedUpload upload = MakeSealed(world_, devices_.back(), size);
    spool_->Offer(upload.header, upload.envelope, [](const Result<OfferAnswer>& answer) { Must(answer); });
    for (uint32_t i = 0; i < upload.chunks.size(); ++i) {
      spool_->Append(upload.header.subject.id, i, upload.chunks[i],
                     [](const Result<AppendAnswer>& answer) { Must(answer); });
    }
    world_.worker.RunAll();
    return upload;
  }
  Result<BundleExport> Export(FileSystem& files = RealFileSystem()) {
    const auto reader = Must(SpoolReader::Open(world_.folder / "spool", RealFileSystem()));
    return ExportBundle({files, world_.fleet.anchor(), world_.clock.Now()}, *reader, world_.folder / "relay",
                        disk_.path());
  }
  size_t OnDisk() { return Must(BundleFolder::Open(RealFileSystem(), disk_.path())).pending(); }

  HopWorld world_;
  TemporaryFolder disk_;
  std::vector<Identity> devices_;
  std::unique_ptr<Spool> spool_;
};

TEST_F(ExportBundleTest, WritesEverythingInCustodyAndLeavesItInCustody) {
  const SealedUpload small = Put(0, 100);
  const SealedUpload large = Put(1, 300'000);  // in a file of the spool
  const BundleExport report = Must(Export());
  EXPECT_TRUE(report.Whole());
  EXPECT_EQ(report.written, 2u);
  EXPECT_EQ(report.written_bytes, small.header.ciphertext_size + large.header.ciphertext_size);
  const BundleFolder folder = Must(BundleFolder::Open(RealFileSystem(), disk_.path()));
  for (const SealedUpload& upload : {small, large}) {
    EXPECT_EQ(Must(folder.ReadEnvelope(upload.header.subject.id)), upload.envelope);
    for (uint32_t i = 0; i < upload.chunks.size(); ++i) {
      EXPECT_EQ(Must(folder.ReadChunk(upload.header.subject.id, i)), upload.chunks[i]);
    }
  }
  EXPECT_EQ(Must(spool_->Pending(10)).size(), 2u);
}

TEST_F(ExportBundleTest, GoesOnWithWhatCameSince) {
  Put(0, 100);
  Must(Export());
  Put(1, 100);
  const BundleExport report = Must(Export());
  EXPECT_EQ(report.written, 1u);
  EXPECT_EQ(report.there_before, 1u);
  EXPECT_EQ(OnDisk(), 2u);
}

TEST_F(ExportBundleTest, AFullDiskTakesWhatFitsAndSaysSo) {
  Put(0, 100);
  Put(1, 3'000'000);
  Put(2, 200);
  SmallDisk files(1'000'000);
  files.free_bytes = 2 * limits::kMiB;
  const BundleExport report = Must(Export(files));
  EXPECT_EQ(report.written, 2u);
  EXPECT_EQ(report.no_room, 1u);
  EXPECT_FALSE(report.Whole());
  EXPECT_EQ(OnDisk(), 2u);
  const std::string told = Tell(report, disk_.path());
  EXPECT_NE(told.find("full"), std::string::npos) << told;
  EXPECT_NE(told.find("another disk"), std::string::npos) << told;
}

TEST_F(ExportBundleTest, ADiskThatIsPulledOutStopsItAndTheNextGoesOn) {
  for (int i = 0; i < 3; ++i) Put(i, 5'000);
  SmallDisk files(6, Code::kIo);
  const BundleExport report = Must(Export(files));
  ASSERT_TRUE(report.stopped);
  EXPECT_EQ(report.stopped->code, Code::kIo);
  EXPECT_LT(report.written, 3u);
  Must(Export());
  EXPECT_EQ(OnDisk(), 3u);
}

TEST_F(ExportBundleTest, APayloadThatIsDamagedInTheSpoolIsTold) {
  const SealedUpload upload = Put(0, 300'000);
  Put(1, 100);
  const Path folder = world_.folder / "spool";
  bool found = false;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().filename() != upload.header.subject.id.hex() + ".payload") continue;
    const auto file = Must(RealFileSystem().OpenForWrite(entry.path()));
    Must(file->WriteAt(1'000, Bytes(8)));
    found = true;
  }
  ASSERT_TRUE(found);
  const BundleExport report = Must(Export());
  EXPECT_EQ(report.written, 1u);
  ASSERT_EQ(report.damaged.size(), 1u);
  EXPECT_EQ(report.damaged[0].first, upload.header.subject.id);
  EXPECT_EQ(report.damaged[0].second.code, Code::kDigestMismatch);
  EXPECT_EQ(OnDisk(), 1u);
}

TEST_F(ExportBundleTest, TheGatewaysPublicationTravelsWithIt) {
  const Path relay = world_.folder / "relay";
  Must(RealFileSystem().CreateFolders(relay));
  BlobStore blobs = Must(BlobStore::Open(RealFileSystem(), relay / "blobs"));
  Must(WriteFileAtomically(RealFileSystem(), relay / "publication.bin",
                           MakePublication(world_, blobs, 7, ModelVersion{3})));
  const BundleExport report = Must(Export());
  ASSERT_TRUE(report.publication);
  EXPECT_EQ(report.publication->number, 7u);
  EXPECT_EQ(Must(ReadPublication(RealFileSystem(), disk_.path(), world_.fleet.anchor(), world_.clock.Now())).number,
            7u);
}

}  // namespace
}  // namespace tributary::export_bundle_test

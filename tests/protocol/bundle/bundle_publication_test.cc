#include <filesystem>

#include <gtest/gtest.h>

#include "protocol/bundle/bundle_folder.h"
#include "tests/protocol/bundle/small_disk.h"
#include "tests/protocol/hop/hop_fixture.h"
#include "tests/support/must.h"

namespace tributary::bundle_publication_test {
namespace {

class BundlePublicationTest : public ::testing::Test {
 protected:
  // `folder` holds publication `number` and its blobs.
  void Fill(const Path& folder, uint64_t number, ModelVersion latest, size_t weight_bytes = 36) {
    Must(RealFileSystem().CreateFolders(folder));
    BlobStore blobs = Must(BlobStore::Open(RealFileSystem(), folder / "blobs"));
    const Bytes signed_bytes = MakePublication(world_, blobs, number, latest, weight_bytes);
    Must(WriteFileAtomically(RealFileSystem(), folder / "publication.bin", signed_bytes));
  }
  Result<CopiedPublication> Copy(FileSystem& files = RealFileSystem()) {
    return CopyPublication(files, from_, to_, world_.fleet.anchor(), world_.clock.Now());
  }
  std::string Outcome() {
    const auto copied = Copy();
    return copied ? "ok" : std::string(Name(copied.error().code));
  }
  Publication In(const Path& folder) {
    return Must(ReadPublication(RealFileSystem(), folder, world_.fleet.anchor(), world_.clock.Now()));
  }
  void ExpectWhole(const Path& folder) {
    for (const BlobRef& blob : BlobsOf(In(folder))) {
      EXPECT_TRUE(CheckBlob(RealFileSystem(), folder / "blobs" / blob.digest.hex(), blob));
    }
  }

  HopWorld world_;
  Path from_ = world_.folder / "from";
  Path to_ = world_.folder / "to";
};

TEST_F(BundlePublicationTest, CopiesItWithItsBlobs) {
  Fill(from_, 2, ModelVersion{2}, 3'000'000);
  const auto copied = Must(Copy());
  EXPECT_TRUE(copied.copied);
  EXPECT_EQ(copied.number, 2u);
  EXPECT_EQ(copied.there_before, 0u);
  EXPECT_EQ(In(to_), In(from_));
  ExpectWhole(to_);
  EXPECT_FALSE(Must(Copy()).copied);
}

TEST_F(BundlePublicationTest, AnOlderOneStaysWhereItIs) {
  Fill(from_, 2, ModelVersion{2});
  Fill(to_, 5, ModelVersion{4});
  const auto copied = Must(Copy());
  EXPECT_FALSE(copied.copied);
  EXPECT_EQ(copied.there_before, 5u);
  EXPECT_EQ(In(to_).number, 5u);
}

TEST_F(BundlePublicationTest, BlobsOfTheOlderOneGo) {
  Fill(to_, 1, ModelVersion{1});
  const BlobRef old = In(to_).tasks[0].weights;
  Fill(from_, 2, ModelVersion{2});
  Must(Copy());
  EXPECT_FALSE(std::filesystem::exists(to_ / "blobs" / old.digest.hex()));
  ExpectWhole(to_);
}

TEST_F(BundlePublicationTest, NothingExpiredForgedOrDamagedIsCopied) {
  EXPECT_EQ(Outcome(), "not-found");
  Fill(from_, 2, ModelVersion{2});
  const Path weights = from_ / "blobs" / In(from_).tasks[0].weights.digest.hex();
  std::filesystem::rename(weights, world_.folder / "kept");
  EXPECT_EQ(Outcome(), "missing-data");
  Must(WriteFileAtomically(RealFileSystem(), weights, Bytes(36)));
  EXPECT_EQ(Outcome(), "digest-mismatch");
  std::filesystem::rename(world_.folder / "kept", weights);
  EXPECT_FALSE(std::filesystem::exists(to_ / "publication.bin"));

  Bytes forged = Must(ReadFile(RealFileSystem(), from_ / "publication.bin", limits::kMiB));
  const Bytes good = forged;
  forged[forged.size() / 2] ^= 1;
  std::filesystem::remove(from_ / "publication.bin");
  Must(WriteFileAtomically(RealFileSystem(), from_ / "publication.bin", forged));
  EXPECT_NE(Outcome(), "ok");
  Must(WriteFileAtomically(RealFileSystem(), from_ / "publication.bin", good));
  world_.clock.Advance(Millis(25 * 3'600'000));
  EXPECT_EQ(Outcome(), "expired");
  EXPECT_FALSE(std::filesystem::exists(to_ / "publication.bin"));
}

TEST_F(BundlePublicationTest, ACopyThatFailsAnywhereGoesOn) {
  Fill(from_, 2, ModelVersion{2}, 2'500'000);
  for (int changes = 0;; ++changes) {
    std::filesystem::remove_all(to_);
    SmallDisk small(changes);
    const auto copied = Copy(small);
    if (!small.failed()) break;
    ASSERT_FALSE(copied);
    EXPECT_EQ(copied.error().code, Code::kDiskFull);
    Must(Copy());
    EXPECT_EQ(In(to_), In(from_));
    ExpectWhole(to_);
  }
}

}  // namespace
}  // namespace tributary::bundle_publication_test

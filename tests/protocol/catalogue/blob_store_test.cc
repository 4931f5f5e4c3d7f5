#include "protocol/catalogue/blob_store.h"

#include <gtest/gtest.h>

#include "protocol/base/limits.h"
#include "protocol/trust/seal/digest.h"
#include "tests/protocol/catalogue/small_publication.h"
#include "tests/support/flipped_byte.h"
#include "tests/support/seeded_random.h"
#include "tests/support/temporary_folder.h"

namespace tributary::blob_store_test {
namespace {

class BlobStoreTest : public testing::Test {
 protected:
  BlobStore Open() const { return BlobStore::Open(RealFileSystem(), folder_ / "blobs").value(); }
  std::vector<std::string> Names() const { return RealFileSystem().List(folder_ / "blobs").value(); }
  ByteView Part(size_t offset, size_t size) const { return ByteView(bytes_).subspan(offset, size); }

  const TemporaryFolder folder_;
  const Bytes bytes_ = SeededRandom(1).TakeBytes(limits::kMiB + 1000);  // more than one read of the digest
  const BlobRef blob_{Sha256(bytes_), bytes_.size()};
};

TEST_F(BlobStoreTest, KeepsWhatIsPut) {
  BlobStore store = Open();
  EXPECT_FALSE(store.Has(blob_.digest));
  EXPECT_EQ(store.Put(bytes_).value(), blob_.digest);
  EXPECT_EQ(store.Put(bytes_).value(), blob_.digest);
  EXPECT_TRUE(Open().Has(blob_.digest));
  EXPECT_EQ(Open().Size(blob_.digest).value(), bytes_.size());
  EXPECT_EQ(Open().ReadAll(blob_.digest).value(), bytes_);
}

TEST_F(BlobStoreTest, ReadsPiecesUpToTheEnd) {
  BlobStore store = Open();
  ASSERT_TRUE(store.Put(bytes_));
  EXPECT_EQ(store.Read(blob_.digest, 10, 20).value(), ToBytes(Part(10, 20)));
  EXPECT_EQ(store.Read(blob_.digest, bytes_.size() - 5, 100).value(), ToBytes(Part(bytes_.size() - 5, 5)));
  EXPECT_TRUE(store.Read(blob_.digest, bytes_.size(), 100).value().empty());
  EXPECT_EQ(Outcome(store.Read(blob_.digest, bytes_.size() + 1, 100)), "invalid-argument");
  EXPECT_EQ(Outcome(store.Read(Digest(), 0, 1)), "unknown-blob");
  EXPECT_EQ(Outcome(store.ReadAll(Digest())), "unknown-blob");
  EXPECT_EQ(Outcome(store.Size(Digest())), "unknown-blob");
}

TEST_F(BlobStoreTest, FetchingGoesOnAfterARestart) {
  EXPECT_EQ(Open().PartSize(blob_.digest), 0u);
  ASSERT_TRUE(Open().AppendPart(blob_.digest, 0, Part(0, 400'000)));
  EXPECT_FALSE(Open().Has(blob_.digest));
  EXPECT_EQ(Outcome(Open().Complete(blob_)), "conflict");
  EXPECT_EQ(Open().PartSize(blob_.digest), 400'000u);
  ASSERT_TRUE(Open().AppendPart(blob_.digest, 400'000, Part(400'000, bytes_.size() - 400'000)));
  ASSERT_TRUE(Open().Complete(blob_));
  EXPECT_EQ(Open().ReadAll(blob_.digest).value(), bytes_);
  EXPECT_EQ(Open().PartSize(blob_.digest), 0u);
  EXPECT_TRUE(Open().Complete(blob_));  // a second time changes nothing
}

TEST_F(BlobStoreTest, PiecesComeInOrder) {
  BlobStore store = Open();
  EXPECT_EQ(Outcome(store.AppendPart(blob_.digest, 1, Part(1, 10))), "chunk-out-of-order");
  ASSERT_TRUE(store.AppendPart(blob_.digest, 0, Part(0, 10)));
  EXPECT_EQ(Outcome(store.AppendPart(blob_.digest, 0, Part(0, 10))), "chunk-out-of-order");
  EXPECT_EQ(Outcome(store.AppendPart(blob_.digest, 11, Part(11, 10))), "chunk-out-of-order");
  EXPECT_EQ(store.PartSize(blob_.digest), 10u);
}

TEST_F(BlobStoreTest, WrongBytesNeverGetTheFinalName) {
  BlobStore store = Open();
  Bytes bent = bytes_;
  bent.back() ^= 1;
  ASSERT_TRUE(store.AppendPart(blob_.digest, 0, bent));
  EXPECT_EQ(Outcome(store.Complete(blob_)), "digest-mismatch");
  EXPECT_TRUE(Names().empty());

  ASSERT_TRUE(store.AppendPart(blob_.digest, 0, bytes_));  // right bytes, wrong size announced
  EXPECT_EQ(Outcome(store.Complete({blob_.digest, blob_.size - 1})), "digest-mismatch");
  EXPECT_EQ(store.PartSize(blob_.digest), 0u);
}

TEST_F(BlobStoreTest, AnEmptyBlobIsABlob) {
  BlobStore store = Open();
  const BlobRef empty{Sha256({}), 0};
  ASSERT_TRUE(store.Complete(empty));
  EXPECT_TRUE(store.Has(empty.digest));
  EXPECT_TRUE(store.ReadAll(empty.digest).value().empty());
}

TEST_F(BlobStoreTest, RetainsOnlyWhatIsNamed) {
  BlobStore store = Open();
  const Digest kept = store.Put(Part(0, 100)).value();
  const Digest dropped = store.Put(Part(0, 200)).value();
  const Digest half = Sha256(Part(0, 300));
  const Digest dropped_half = Sha256(Part(0, 400));
  ASSERT_TRUE(store.AppendPart(half, 0, Part(0, 50)));
  ASSERT_TRUE(store.AppendPart(dropped_half, 0, Part(0, 50)));
  const std::vector<Digest> keep = {kept, half};
  ASSERT_TRUE(store.RetainOnly(keep));
  EXPECT_TRUE(store.Has(kept));
  EXPECT_FALSE(store.Has(dropped));
  EXPECT_EQ(store.PartSize(half), 50u);
  EXPECT_EQ(store.PartSize(dropped_half), 0u);
  EXPECT_EQ(Names().size(), 2u);
}

TEST_F(BlobStoreTest, DamageIsFoundWhereTheBlobIsReadAndSetAside) {
  BlobStore store = Open();
  ASSERT_TRUE(store.Put(bytes_));
  FlipAByte(store.PathOf(blob_.digest));
  EXPECT_EQ(Outcome(store.ReadAll(blob_.digest)), "damaged-blob");
  EXPECT_FALSE(store.Has(blob_.digest));
  EXPECT_EQ(Names(), std::vector<std::string>{blob_.digest.hex() + ".damaged"});
  EXPECT_EQ(store.Damaged(), std::vector<Digest>{blob_.digest});
  EXPECT_EQ(store.damaged_count(), 1u);
  // It is fetched or put again, and the damaged file goes with the next publication.
  ASSERT_TRUE(store.AppendPart(blob_.digest, 0, bytes_));
  ASSERT_TRUE(store.Complete(blob_));
  EXPECT_TRUE(store.Damaged().empty());
  EXPECT_EQ(store.ReadAll(blob_.digest).value(), bytes_);
  ASSERT_TRUE(store.RetainOnly(std::vector{blob_.digest}));
  EXPECT_EQ(Names(), std::vector<std::string>{blob_.digest.hex()});
}

TEST_F(BlobStoreTest, AProcessChecksABlobOnceUnlessItIsDoubted) {
  ASSERT_TRUE(Open().Put(bytes_));
  BlobStore store = Open();
  const BlobStore copy = store;
  ASSERT_TRUE(store.Check(blob_.digest));
  FlipAByte(store.PathOf(blob_.digest));
  EXPECT_TRUE(copy.Check(blob_.digest)) << "what one copy has checked the others believe";
  EXPECT_EQ(Outcome(copy.CheckAgain(blob_.digest)), "damaged-blob");
  EXPECT_EQ(Outcome(store.Check(blob_.digest)), "unknown-blob");
  EXPECT_EQ(Outcome(store.CheckAgain(blob_.digest)), "unknown-blob");
  EXPECT_EQ(store.damaged_count(), 1u);
  EXPECT_EQ(Outcome(Open().Check(blob_.digest)), "unknown-blob");
}

TEST_F(BlobStoreTest, PutReplacesWhatIsDamaged) {
  ASSERT_TRUE(Open().Put(bytes_));
  BlobStore store = Open();
  FlipAByte(store.PathOf(blob_.digest));
  EXPECT_EQ(store.Put(bytes_).value(), blob_.digest);
  EXPECT_EQ(store.ReadAll(blob_.digest).value(), bytes_);
  EXPECT_EQ(store.damaged_count(), 1u);
}

}  // namespace
}  // namespace tributary::blob_store_test

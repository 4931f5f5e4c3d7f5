#include <gtest/gtest.h>

#include "tests/protocol/hop/follower.h"
#include "tests/support/flipped_byte.h"

// A disk on the way down changes bytes of a model.
namespace tributary::damaged_blob_test {
namespace {

constexpr size_t kWeights = 5'000;

class DamagedBlobTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(RealFileSystem().CreateFolders(world_.folder / "device"));
    publication_ = MakePublication(world_, server_.blobs, 1, ModelVersion{1}, kWeights);
    weights_ = PublicationOf(world_, publication_).tasks[0].weights;
    bytes_ = *server_.blobs.ReadAll(weights_.digest);
    server_->Publish(publication_, 1, 1);
  }
  void Follow() {
    follower_.reset();
    follower_ = std::make_unique<Follower>(world_, server_.Address(), device_, world_.folder / "device");
    follower_->Start();
  }
  void FlipAtServer() { FlipAByte(server_.blobs.PathOf(weights_.digest)); }
  bool IsMended() {
    return world_.RunUntilWithTime([&] { return !follower_->mended.empty(); });
  }

  HopWorld world_;
  TestServer server_{world_, Role::kGateway, "gateway-1"};
  Identity device_ = world_.fleet.Issue(Role::kDevice, "device-1");
  Bytes publication_;
  BlobRef weights_;
  Bytes bytes_;
  std::unique_ptr<Follower> follower_;
};

TEST_F(DamagedBlobTest, AServerServesNoneThatItsDiskHasChanged) {
  server_.blobs = *BlobStore::Open(RealFileSystem(), server_.blobs.PathOf(weights_.digest).parent_path());
  FlipAtServer();
  Follow();
  ASSERT_TRUE(world_.RunUntil([&] { return server_.Refused(Code::kDamagedBlob) > 0; }));
  EXPECT_EQ(server_.missing_blobs.front(), std::pair(weights_.digest, Code::kDamagedBlob));
  EXPECT_TRUE(follower_->adopted.empty());
  EXPECT_LT(follower_->fetcher.bytes_received(), kWeights) << "not one piece of it travelled";
  ASSERT_TRUE(server_.blobs.Put(bytes_));
  EXPECT_TRUE(world_.RunUntilWithTime([&] { return !follower_->adopted.empty(); }));
}

TEST_F(DamagedBlobTest, AServerThatIsToldOfWrongBytesLooksAgain) {
  ASSERT_TRUE(server_.blobs.Check(weights_.digest));  // so it does not look by itself
  FlipAtServer();
  Follow();
  ASSERT_TRUE(world_.RunUntil([&] { return server_.Refused(Code::kDamagedBlob) > 0; }));
  EXPECT_EQ(server_.blobs.Damaged(), std::vector<Digest>{weights_.digest});
  EXPECT_FALSE(follower_->blobs.Has(weights_.digest));
  ASSERT_TRUE(server_.blobs.Put(bytes_));
  EXPECT_TRUE(world_.RunUntilWithTime([&] { return !follower_->adopted.empty(); }));
}

TEST_F(DamagedBlobTest, AServerReadsABlobForADoubtOnceAMinute) {
  RawClient client(world_, server_, device_);
  ASSERT_EQ(client.Introduce(device_), std::nullopt);
  const hop::Fetch doubted{weights_.digest, 0, 100, true};
  client.Send(doubted);
  ASSERT_TRUE(client.Await<hop::Piece>());
  FlipAtServer();
  client.Send(doubted);
  EXPECT_TRUE(client.Await<hop::Piece>()) << "it was read a moment ago";
  world_.clock.Advance(Millis(60'000));
  client.Send(doubted);
  const auto refused = client.Await<hop::FetchRefused>();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->refusal.code, Code::kDamagedBlob);
}

TEST_F(DamagedBlobTest, AClientThatGetsWrongBytesTwiceWaitsLongerEachTime) {
  ASSERT_TRUE(server_.blobs.Check(weights_.digest));
  RawClient doubter(world_, server_, device_);
  ASSERT_EQ(doubter.Introduce(device_), std::nullopt);
  doubter.Send(hop::Fetch{weights_.digest, 0, 100, true});
  ASSERT_TRUE(doubter.Await<hop::Piece>());  // the server does not look again for a minute
  FlipAtServer();
  Follow();
  const auto wrong = [&](uint64_t times) {
    return follower_->fetcher.bytes_received() >= times * kWeights;
  };
  ASSERT_TRUE(world_.RunUntil([&] { return wrong(2); }));
  follower_->client.CheckInNow();
  EXPECT_FALSE(world_.RunUntil([&] { return follower_->fetcher.bytes_received() > 2 * kWeights + 100; }, 500));
  EXPECT_FALSE(follower_->blobs.Has(weights_.digest));
  EXPECT_TRUE(follower_->adopted.empty());
  ASSERT_TRUE(server_.blobs.Put(bytes_)) << "as after a look of its own";
  ASSERT_FALSE(server_.blobs.CheckAgain(weights_.digest));
  ASSERT_TRUE(server_.blobs.Put(bytes_));
  EXPECT_TRUE(world_.RunUntilWithTime([&] { return !follower_->adopted.empty(); }, Millis(50)));
}

TEST_F(DamagedBlobTest, WhatAMemberFindsDamagedItFetchesAgain) {
  Follow();
  ASSERT_TRUE(world_.RunUntil([&] { return !follower_->adopted.empty(); }));
  FlipAByte(follower_->blobs.PathOf(weights_.digest));
  ASSERT_EQ(follower_->blobs.ReadAll(weights_.digest).error().code, Code::kDamagedBlob);
  for (int i = 0; i < 3; ++i) follower_->subscriber.Mend(weights_.digest);
  EXPECT_EQ(follower_->subscriber.mending(), std::vector<BlobRef>{weights_});
  ASSERT_TRUE(IsMended());
  EXPECT_EQ(follower_->mended, std::vector<Digest>{weights_.digest});
  EXPECT_TRUE(follower_->subscriber.mending().empty());
  EXPECT_EQ(follower_->blobs.ReadAll(weights_.digest).value(), bytes_);
  EXPECT_EQ(follower_->fetcher.bytes_received(), 2 * kWeights + 6);
}

TEST_F(DamagedBlobTest, AMemberThatStartsWithoutABlobOfItsPublicationFetchesIt) {
  Follow();
  ASSERT_TRUE(world_.RunUntil([&] { return !follower_->adopted.empty(); }));
  FlipAByte(follower_->blobs.PathOf(weights_.digest));
  ASSERT_EQ(follower_->blobs.ReadAll(weights_.digest).error().code, Code::kDamagedBlob);
  Follow();  // it was set aside, and then the power failed
  EXPECT_EQ(follower_->adopted, std::vector<uint64_t>{1}) << "the publication stays in force";
  ASSERT_TRUE(IsMended());
  EXPECT_TRUE(follower_->blobs.Has(weights_.digest));
}

TEST_F(DamagedBlobTest, ANewerPublicationEndsTheFetchOfWhatItDoesNotName) {
  Follow();
  ASSERT_TRUE(world_.RunUntil([&] { return !follower_->adopted.empty(); }));
  ASSERT_TRUE(RealFileSystem().Remove(follower_->blobs.PathOf(weights_.digest)));
  ASSERT_TRUE(RealFileSystem().Remove(server_.blobs.PathOf(weights_.digest)));
  follower_->subscriber.Mend(weights_.digest);
  ASSERT_TRUE(world_.RunUntil([&] { return server_.Refused(Code::kUnknownBlob) > 0; }));
  server_->Publish(MakePublication(world_, server_.blobs, 2, ModelVersion{2}, kWeights + 4), 2, 1);
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return follower_->adopted.size() == 2; }));
  EXPECT_TRUE(follower_->subscriber.mending().empty());
}

}  // namespace
}  // namespace tributary::damaged_blob_test

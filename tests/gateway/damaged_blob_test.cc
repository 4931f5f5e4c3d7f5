#include <filesystem>

#include "tests/gateway/gateway_fixture.h"
#include "tests/protocol/hop/follower.h"
#include "tests/support/flipped_byte.h"

// The card of a gateway changes a byte of the model that it serves.
namespace tributary::gateway_damaged_blob_test {
namespace {

class GatewayDamagedBlobTest : public GatewayTest {
 protected:
  void SetUp() override {
    ASSERT_TRUE(RealFileSystem().CreateFolders(world_.folder / "device"));
    publication_ = MakePublication(world_, upstream_.blobs, 1, ModelVersion{3});
    weights_ = PublicationOf(world_, publication_).tasks[0].weights.digest;
    const Running gateway(Open());
    upstream_->Publish(publication_, 1, 1);
    ASSERT_TRUE(world_.RunUntilWithTime([&] { return std::filesystem::exists(Relay("publication.bin")); }));
  }
  Path Relay(const std::string& name) const { return options_.data_dir / "relay" / name; }
  std::string LastTrouble() const {
    for (auto check_in = upstream_.check_ins.rbegin(); check_in != upstream_.check_ins.rend(); ++check_in) {
      if (!check_in->second.reports.empty()) return check_in->second.reports.front().trouble;
    }
    return "";
  }

  Bytes publication_;
  Digest weights_;
  Identity device_ = world_.fleet.Issue(Role::kDevice, "device-1");
};

TEST_F(GatewayDamagedBlobTest, ItServesNoByteOfItAndFetchesItAgain) {
  FlipAByte(Relay("blobs") / weights_.hex());
  const Running gateway(Open());
  Follower follower(world_, Address(*gateway), device_, world_.folder / "device");
  follower.Start();
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !follower.adopted.empty(); }));
  EXPECT_TRUE(follower.blobs.ReadAll(weights_));
  EXPECT_EQ(follower.subscriber.counts().rejected, 0u);
  EXPECT_TRUE(std::filesystem::exists(Relay("blobs") / (weights_.hex() + ".damaged")));
}

TEST_F(GatewayDamagedBlobTest, WithoutItsUplinkItSaysSoUntilItCanMend) {
  upstream_.Stop();
  FlipAByte(Relay("blobs") / weights_.hex());
  const Running gateway(Open());
  Follower follower(world_, Address(*gateway), device_, world_.folder / "device");
  follower.Start();
  ASSERT_TRUE(world_.RunUntilWithTime(
      [&] { return std::filesystem::exists(Relay("blobs") / (weights_.hex() + ".damaged")); }));
  EXPECT_TRUE(follower.adopted.empty());
  upstream_.Start();
  upstream_->Publish(publication_, 1, 1);
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return LastTrouble().starts_with("damaged-blob: "); }));
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !follower.adopted.empty(); }));
  EXPECT_TRUE(follower.blobs.ReadAll(weights_));
  EXPECT_TRUE(world_.RunUntilWithTime([&] { return LastTrouble().empty(); }));
}

}  // namespace
}  // namespace tributary::gateway_damaged_blob_test

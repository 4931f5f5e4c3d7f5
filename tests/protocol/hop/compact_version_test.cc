#include <gtest/gtest.h>

#include "protocol/payload/version_codec.h"
#include "protocol/trust/seal/digest.h"
#include "tests/protocol/hop/hop_fixture.h"
#include "tests/support/must.h"
#include "tests/support/seeded_random.h"

// A version that travels in fewer bytes, too: who fetches which bytes of it.
namespace tributary::compact_version_test {
namespace {

constexpr size_t kValues = 10'000;
constexpr size_t kWeightBytes = kValues * sizeof(float);

std::vector<float> Weights(uint64_t version) {
  SeededRandom random(version);
  std::vector<float> values(kValues);
  for (float& value : values) value = 0.1F * static_cast<float>(UniformUnit(random));
  return values;
}

class CompactVersionTest : public ::testing::Test {
 protected:
  struct Follower {
    Follower(HopWorld& world, const TestServer& server, const Identity& identity, const Path& folder, bool relays)
        : blobs(Must(BlobStore::Open(RealFileSystem(), folder / "blobs"))),
          store(Must(PublicationStore::Open(RealFileSystem(), folder / "publication.bin", identity.anchor))),
          client({world.loop, world.clock, world.random, identity}, server.Address(),
                 {[this] {
                    hop::CheckIn check_in;
                    check_in.publication_number = store.number();
                    return check_in;
                  },
                  [this](ByteView bytes) { subscriber.Consider(bytes); }}),
          fetcher(client, world.loop, world.random, blobs, world.worker),
          subscriber(fetcher, store, blobs, world.clock, {.on_adopted = [this](const Publication&) { ++adopted; }}, relays) {}

    int adopted = 0;
    BlobStore blobs;
    PublicationStore store;
    HopClient client;
    Fetcher fetcher;
    Subscriber subscriber;
  };

  std::unique_ptr<Follower> Follow(bool relays = false) {
    const Path folder = world_.folder / (relays ? "gateway" : "device");
    Must(RealFileSystem().CreateFolders(folder));
    auto follower = std::make_unique<Follower>(world_, server_, device_, folder, relays);
    follower->subscriber.Start();
    follower->client.Start();
    return follower;
  }
  // Publishes version 1 whole, and version 2 as a difference from it.
  PublishedTask Publish(uint64_t number) {
    Publication publication =
        PublicationOf(world_, MakePublication(world_, server_.blobs, number, ModelVersion{number}, kWeightBytes));
    PublishedTask& task = publication.tasks[0];
    base_ = weights_;
    weights_ = Weights(number);
    if (!base_.empty()) {
      CompactVersion made = Must(RoundVersion(VersionCodec::kBlock8, task.table, base_, weights_, Sha256({})));
      weights_ = made.weights;
      if (bent_) made.bytes.back() ^= 1;
      task.compact = CompactWeights{VersionCodec::kBlock8,
                                    Sha256(AsBytes(std::span<const float>(base_))),
                                    {Must(server_.blobs.Put(made.bytes)), made.bytes.size()}};
    }
    task.weights.digest = Must(server_.blobs.Put(AsBytes(std::span<const float>(weights_))));
    server_->Publish(world_.fleet.Publish(publication), number, 1);
    return task;
  }
  void RunUntilAdopted(Follower& follower, int times) {
    ASSERT_TRUE(world_.RunUntil([&] { return follower.adopted == times; }));
  }

  HopWorld world_;
  TestServer server_{world_, Role::kGateway, "gateway-1"};
  Identity device_ = world_.fleet.Issue(Role::kDevice, "device-1");
  std::vector<float> base_, weights_;
  bool bent_ = false;
};

TEST_F(CompactVersionTest, WhoHasTheVersionBeforeFetchesTheDifferenceOnly) {
  Publish(1);
  const auto follower = Follow();
  RunUntilAdopted(*follower, 1);
  const uint64_t before = follower->fetcher.bytes_received();
  const PublishedTask task = Publish(2);
  RunUntilAdopted(*follower, 2);
  EXPECT_EQ(follower->fetcher.bytes_received() - before, task.compact->blob.size);
  EXPECT_LT(task.compact->blob.size, kWeightBytes * 27 / 100);
  EXPECT_EQ(Must(follower->blobs.ReadAll(task.weights.digest)), ToBytes(AsBytes(std::span<const float>(weights_))));
}

TEST_F(CompactVersionTest, WhoHasNotFetchesTheWhole) {
  Publish(1);
  const PublishedTask task = Publish(2);
  const auto follower = Follow();
  RunUntilAdopted(*follower, 1);
  EXPECT_EQ(follower->fetcher.bytes_received(), kWeightBytes + task.module.size);
  EXPECT_TRUE(follower->blobs.Has(task.weights.digest));
}

TEST_F(CompactVersionTest, AGatewayHasBothForThoseBelow) {
  Publish(1);
  const auto follower = Follow(/*relays=*/true);
  RunUntilAdopted(*follower, 1);
  const uint64_t before = follower->fetcher.bytes_received();
  const PublishedTask task = Publish(2);
  RunUntilAdopted(*follower, 2);
  EXPECT_EQ(follower->fetcher.bytes_received() - before, task.compact->blob.size) << "the whole is made here";
  EXPECT_TRUE(follower->blobs.Has(task.weights.digest) && follower->blobs.Has(task.compact->blob.digest));
}

TEST_F(CompactVersionTest, ADifferenceThatGivesAnotherVersionIsNotBelieved) {
  Publish(1);
  const auto follower = Follow();
  RunUntilAdopted(*follower, 1);
  const uint64_t before = follower->fetcher.bytes_received();
  bent_ = true;
  const PublishedTask task = Publish(2);
  RunUntilAdopted(*follower, 2);
  EXPECT_EQ(follower->fetcher.bytes_received() - before, task.compact->blob.size + kWeightBytes);
  EXPECT_TRUE(follower->blobs.Has(task.weights.digest));
}

}  // namespace
}  // namespace tributary::compact_version_test

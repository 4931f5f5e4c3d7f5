#include <functional>
#include <string_view>

#include <gtest/gtest.h>

#include "protocol/trust/seal/digest.h"
#include "tests/protocol/hop/follower.h"

namespace tributary::hop_publication_test {
namespace {

constexpr size_t kWeights = 10 * limits::kPieceBytes + 100;  // eleven pieces

class PublicationHopTest : public ::testing::Test {
 protected:
  std::unique_ptr<Follower> Follow() {
    return std::make_unique<Follower>(world_, server_.Address(), device_, world_.folder / "device");
  }
  void SetUp() override { ASSERT_TRUE(RealFileSystem().CreateFolders(world_.folder / "device")); }

  HopWorld world_;
  TestServer server_{world_, Role::kGateway, "gateway-1"};
  Identity device_ = world_.fleet.Issue(Role::kDevice, "device-1");
};

TEST_F(PublicationHopTest, IsAdoptedWhenAllItsBlobsAreHere) {
  const Bytes signed_bytes = MakePublication(world_, server_.blobs, 1, ModelVersion{1}, kWeights);
  const Publication publication = PublicationOf(world_, signed_bytes);
  server_->Publish(signed_bytes, 1, 1);
  const auto follower = Follow();
  follower->Start();
  int turns = 0;
  while (follower->adopted.empty()) {
    // Until then nothing of it is in force.
    const bool all = follower->blobs.Has(publication.tasks[0].module.digest) &&
                     follower->blobs.Has(publication.tasks[0].weights.digest);
    ASSERT_EQ(follower->store.number(), 0u) << (all ? "adopted without being said" : "adopted without its blobs");
    ASSERT_LT(++turns, 5'000);
    world_.Turn();
  }
  EXPECT_EQ(follower->adopted, std::vector<uint64_t>{1});
  EXPECT_TRUE(follower->blobs.Has(publication.tasks[0].weights.digest));
  EXPECT_EQ(follower->fetcher.bytes_received(), kWeights + 6);
  EXPECT_EQ(server_->counts().piece_bytes, kWeights + 6);
}

TEST_F(PublicationHopTest, ANoticeLeadsToACheckInAndTheNewerPublication) {
  server_->Publish(MakePublication(world_, server_.blobs, 1, ModelVersion{1}), 1, 1);
  const auto follower = Follow();
  follower->Start();
  ASSERT_TRUE(world_.RunUntil([&] { return follower->adopted.size() == 1; }));
  const size_t check_ins = server_.check_ins.size();
  server_->Publish(MakePublication(world_, server_.blobs, 2, ModelVersion{2}), 2, 1);
  // The clock stands still: it is the notice, not the interval, that makes it ask.
  ASSERT_TRUE(world_.RunUntil([&] { return follower->adopted.size() == 2; }));
  EXPECT_GT(server_.check_ins.size(), check_ins);
  EXPECT_EQ(server_.check_ins[check_ins].second.publication_number, 1u);
  EXPECT_EQ(follower->store.number(), 2u);
}

TEST_F(PublicationHopTest, AnOlderOneIsRejected) {
  const Bytes older = MakePublication(world_, server_.blobs, 1, ModelVersion{1});
  server_->Publish(MakePublication(world_, server_.blobs, 2, ModelVersion{2}), 2, 1);
  const auto follower = Follow();
  follower->Start();
  ASSERT_TRUE(world_.RunUntil([&] { return follower->adopted.size() == 1; }));
  // An honest server does not send it; a stale or hostile one may, under a number that looks new.
  server_->Publish(older, 3, 1);
  ASSERT_TRUE(world_.RunUntil([&] { return follower->subscriber.counts().rejected == 1; }));
  EXPECT_EQ(follower->store.number(), 2u);
  EXPECT_EQ(follower->adopted, std::vector<uint64_t>{2});
}

TEST_F(PublicationHopTest, OneThatIsNotSignedByThePublisherIsRejected) {
  const TestFleet other;
  const Publication publication = PublicationOf(world_, MakePublication(world_, server_.blobs, 1, ModelVersion{1}));
  server_->Publish(other.Publish(publication), 1, 1);
  const auto follower = Follow();
  follower->Start();
  ASSERT_TRUE(world_.RunUntil([&] { return follower->subscriber.counts().rejected == 1; }));
  EXPECT_EQ(follower->store.number(), 0u);
  EXPECT_EQ(follower->subscriber.counts().rejected_by, (std::map<Code, uint64_t>{{Code::kBadSignature, 1}}));
  EXPECT_EQ(follower->subscriber.counts().last_rejection->error.code, Code::kBadSignature);
  EXPECT_EQ(follower->subscriber.counts().last_rejection->when, world_.clock.Now());
  EXPECT_TRUE(follower->adopted.empty());
}

TEST_F(PublicationHopTest, AFetchGoesOnAfterTheClientRestarts) {
  server_->Publish(MakePublication(world_, server_.blobs, 1, ModelVersion{1}, kWeights), 1, 1);
  uint64_t first = 0;
  {
    const auto follower = Follow();
    follower->Start();
    ASSERT_TRUE(world_.RunUntil([&] { return follower->fetcher.bytes_received() >= limits::kPieceBytes; }));
    ASSERT_TRUE(follower->adopted.empty());
    first = follower->fetcher.bytes_received();
  }
  const auto follower = Follow();
  follower->Start();
  ASSERT_TRUE(world_.RunUntil([&] { return !follower->adopted.empty(); }));
  EXPECT_EQ(first + follower->fetcher.bytes_received(), kWeights + 6);
  // Nor did the link carry more than the one piece that was on its way.
  EXPECT_LE(server_->counts().piece_bytes, kWeights + 6 + limits::kPieceBytes);
}

TEST_F(PublicationHopTest, AFetchGoesOnAfterTheServerRestarts) {
  const Bytes publication = MakePublication(world_, server_.blobs, 1, ModelVersion{1}, kWeights);
  server_->Publish(publication, 1, 1);
  const auto follower = Follow();
  follower->Start();
  ASSERT_TRUE(world_.RunUntil([&] { return follower->fetcher.bytes_received() >= limits::kPieceBytes; }));
  server_.Stop();
  server_.Start();
  server_->Publish(publication, 1, 1);
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !follower->adopted.empty(); }));
  EXPECT_EQ(follower->fetcher.bytes_received(), kWeights + 6);
}

TEST_F(PublicationHopTest, ABlobThatTheServerHasNotGotYetIsWaitedFor) {
  HopWorld elsewhere;
  BlobStore source = *BlobStore::Open(RealFileSystem(), elsewhere.folder / "blobs");
  const Bytes signed_bytes = MakePublication(world_, source, 1, ModelVersion{1}, 5'000);
  server_->Publish(signed_bytes, 1, 1);
  const auto follower = Follow();
  follower->Start();
  ASSERT_TRUE(world_.RunUntil([&] { return server_.Refused(Code::kUnknownBlob) > 0; }));
  EXPECT_TRUE(follower->adopted.empty());
  for (const BlobRef& blob :
       {PublicationOf(world_, signed_bytes).tasks[0].module, PublicationOf(world_, signed_bytes).tasks[0].weights}) {
    ASSERT_TRUE(server_.blobs.Put(*source.ReadAll(blob.digest)));
  }
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !follower->adopted.empty(); }));
}

TEST_F(PublicationHopTest, AFetchThatAsksForTooMuchOrBehindTheEndClosesTheConnection) {
  const Digest blob = *server_.blobs.Put(AsBytes("a blob"));
  RawClient client(world_, server_, device_);
  ASSERT_EQ(client.Introduce(device_), std::nullopt);
  client.Send(hop::Fetch{blob, 2, 100});
  ASSERT_TRUE(world_.RunUntil([&] { return !client.received.empty(); }));
  EXPECT_EQ(AsText(client.received.front().second), "blob");
  client.received.clear();
  client.Send(hop::Fetch{blob, 0, limits::kPieceBytes + 1});
  EXPECT_EQ(client.AwaitRefused(), Code::kTooLarge);
  ASSERT_EQ(client.Introduce(device_), std::nullopt);
  client.Send(hop::Fetch{blob, 6, 1});
  EXPECT_EQ(client.AwaitRefused(), Code::kMalformed);
  EXPECT_EQ(server_->counts().sessions, 0u);
}

// Turns the sockets' loops only: the disk does not answer.
void TurnWithoutDisk(HopWorld& world, const std::function<bool()>& condition) {
  for (int i = 0; i < 5'000 && !condition(); ++i) {
    world.loop.RunOnce(Millis(1));
    for (Loop* one : world.server_loops) one->RunOnce(Millis(1));
  }
  ASSERT_TRUE(condition());
}

TEST_F(PublicationHopTest, ASlowDiskHoldsUpPiecesAndNothingElse) {
  const Digest blob = *server_.blobs.Put(AsBytes("a blob"));
  RawClient client(world_, server_, device_);
  ASSERT_EQ(client.Introduce(device_), std::nullopt);
  client.received.clear();
  for (uint64_t offset = 0; offset < 5; ++offset) client.Send(hop::Fetch{blob, offset, 1});
  client.Send(hop::CheckIn{});
  TurnWithoutDisk(world_, [&] { return !client.received.empty(); });
  EXPECT_TRUE(std::holds_alternative<hop::Assignment>(client.received.front().first));
  client.received.clear();
  EXPECT_FALSE(world_.worker.idle());
  ASSERT_TRUE(world_.RunUntil([&] { return client.received.size() == 5; }));
  for (uint64_t offset = 0; offset < 5; ++offset) {
    const auto* piece = std::get_if<hop::Piece>(&client.received[offset].first);
    ASSERT_TRUE(piece);
    EXPECT_EQ(piece->offset, offset);
    EXPECT_EQ(AsText(client.received[offset].second), std::string_view("a blob").substr(offset, 1));
  }
}

TEST_F(PublicationHopTest, PiecesThatAreReadForASessionThatIsOverAreDropped) {
  const Digest blob = *server_.blobs.Put(AsBytes("a blob"));
  RawClient client(world_, server_, device_);
  const auto ask = [&] {
    client.Send(hop::Fetch{blob, 0, 6});
    TurnWithoutDisk(world_, [&] { return !world_.worker.idle(); });
  };
  ASSERT_EQ(client.Introduce(device_), std::nullopt);
  ask();
  client.Send(hop::Goodbye{});
  TurnWithoutDisk(world_, [&] { return server_->counts().sessions == 0; });
  ASSERT_EQ(client.Introduce(device_), std::nullopt);  // here the disk answers
  EXPECT_EQ(server_->counts().piece_bytes, 0u);
  ask();
  server_.Stop();
  world_.worker.RunAll();
}

// A device that holds a publication can use everything in it with no link at all.
TEST_F(PublicationHopTest, WhatWasAdoptedIsThereAfterARestartWithoutALink) {
  server_->Publish(MakePublication(world_, server_.blobs, 1, ModelVersion{1}, 5'000), 1, 1);
  {
    const auto follower = Follow();
    follower->Start();
    ASSERT_TRUE(world_.RunUntil([&] { return !follower->adopted.empty(); }));
  }
  server_.Stop();
  const auto follower = Follow();
  follower->Start();
  EXPECT_EQ(follower->adopted, std::vector<uint64_t>{1});
  EXPECT_TRUE(follower->blobs.Has(follower->store.current()->tasks[0].weights.digest));
}

}  // namespace
}  // namespace tributary::hop_publication_test

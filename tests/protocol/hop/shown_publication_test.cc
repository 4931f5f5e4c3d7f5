#include <gtest/gtest.h>

#include "tests/protocol/hop/hop_fixture.h"

// A server that is behind its clients asks them for the publication that they hold.
namespace tributary::shown_publication_test {
namespace {

class ShownPublicationTest : public ::testing::Test {
 protected:
  ShownPublicationTest() {
    server_->Publish(MakePublication(world_, server_.blobs, 4, ModelVersion{1}), 4, 1);
    server_.wants_publication = true;
  }
  std::unique_ptr<HopClient> Connect(const Identity& identity) {
    auto client = std::make_unique<HopClient>(
        HopClient::Parts{world_.loop, world_.clock, world_.random, identity}, server_.Address(),
        HopClient::Hooks{.describe_self =
                             [this] {
                               hop::CheckIn check_in;
                               check_in.root_version = 1;
                               check_in.publication_number = held_;
                               check_in.publication_digest = digest_;
                               return check_in;
                             },
                         .on_publication = [](ByteView) {},
                         .held_publication = [] { return Bytes(1'000, 7); }});
    client->Start();
    return client;
  }
  size_t Shown() const {
    return static_cast<size_t>(
        std::ranges::count_if(server_.check_ins, [](const auto& one) { return !one.second.publication.empty(); }));
  }
  bool CheckedIn(size_t times) {
    return world_.RunUntil([&] { return server_.check_ins.size() >= times; });
  }

  HopWorld world_;
  TestServer server_{world_, Role::kAggregator, "aggregator"};
  Identity device_ = world_.fleet.Issue(Role::kDevice, "device-1");
  uint64_t held_ = 5;
  std::optional<Digest> digest_;
};

TEST_F(ShownPublicationTest, AClientThatIsAheadBringsItAtOnceAndOnceAMinute) {
  const auto client = Connect(device_);
  ASSERT_TRUE(CheckedIn(2));
  EXPECT_EQ(server_.check_ins.at(1).second.publication, Bytes(1'000, 7));
  for (size_t times = 3; times < 6; ++times) {
    client->CheckInNow();
    ASSERT_TRUE(CheckedIn(times));
  }
  EXPECT_EQ(Shown(), 1u);
  world_.clock.Advance(Millis(60'000));
  ASSERT_TRUE(world_.RunUntil([&] { return Shown() == 2; }));
}

TEST_F(ShownPublicationTest, OneOfTheSameNumberIsAskedForByItsDigest) {
  held_ = 4;
  digest_ = Digest();
  const auto client = Connect(device_);
  ASSERT_TRUE(world_.RunUntil([&] { return Shown() == 1; }));
}

TEST_F(ShownPublicationTest, NobodyIsAskedWhoIsNotAhead) {
  held_ = 4;
  const auto client = Connect(device_);
  ASSERT_TRUE(CheckedIn(1));
  client->CheckInNow();
  ASSERT_TRUE(CheckedIn(2));
  EXPECT_EQ(Shown(), 0u);
}

TEST_F(ShownPublicationTest, WhatWasNotAskedForIsNotLookedAt) {
  server_.wants_publication = false;
  RawClient client(world_, server_, device_);
  ASSERT_EQ(client.Introduce(device_), std::nullopt);
  hop::CheckIn check_in;
  check_in.root_version = 1;
  check_in.publication_number = 5;
  check_in.publication = Bytes(1'000, 7);
  client.Send(check_in);
  ASSERT_TRUE(CheckedIn(1));
  EXPECT_EQ(Shown(), 0u);
}

}  // namespace
}  // namespace tributary::shown_publication_test

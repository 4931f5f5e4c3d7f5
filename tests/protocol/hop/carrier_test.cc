#include <gtest/gtest.h>

#include "tests/protocol/hop/hop_fixture.h"

// Tools that come with the server's own identity, and uploads that come in two ways at once.
namespace tributary::carrier_test {
namespace {

class CarrierTest : public ::testing::TestWithParam<Role> {
 protected:
  std::unique_ptr<TestSender> Carrier(const Path& folder) {
    HopClient::Options address = server_.Address();
    address.carrier = true;
    auto sender = std::make_unique<TestSender>(world_, server_.identity(), world_.folder / folder, address);
    sender->client().Start();
    return sender;
  }

  HopWorld world_;
  TestServer server_{world_, GetParam(), "server-1"};
  Identity device_ = world_.fleet.Issue(Role::kDevice, "device-1");
};

TEST_P(CarrierTest, SeveralAtOnceBringAnybodysUploadsAndThrowNobodyOut) {
  RawClient member(world_, server_, device_);
  ASSERT_EQ(member.Introduce(device_), std::nullopt);
  const auto first = Carrier("first");
  const auto second = Carrier("second");
  ASSERT_TRUE(world_.RunUntil([&] { return first->client().up() && second->client().up(); }));
  EXPECT_EQ(server_->counts().sessions, 3u);
  first->Put(MakeSealed(world_, device_, 20'000));
  second->Put(MakeSealed(world_, world_.fleet.Issue(Role::kDevice, "device-2"), 20'000));
  ASSERT_TRUE(world_.RunUntil([&] { return first->gone.size() + second->gone.size() == 2; }));
  EXPECT_EQ(server_.sink.complete.size(), 2u);
  EXPECT_EQ(server_->counts().handshakes, 3u);
  // They are no members below: nobody is told that they checked in.
  member.Send(hop::CheckIn{});
  ASSERT_TRUE(member.Await<hop::Assignment>());
  ASSERT_EQ(server_.check_ins.size(), 1u);
  EXPECT_EQ(server_.check_ins[0].first, device_.subject.id);
}

TEST_P(CarrierTest, WhoeverHasTheNameButNotTheKeyIsNoCarrier) {
  const Identity other = world_.fleet.Issue(GetParam(), "server-1");
  EXPECT_EQ(RawClient(world_, server_, other).Introduce(other),
            GetParam() == Role::kAggregator ? Code::kWrongRole : Code::kUpstreamCycle);
  EXPECT_EQ(server_->counts().sessions, 0u);
}

INSTANTIATE_TEST_SUITE_P(Servers, CarrierTest, ::testing::Values(Role::kGateway, Role::kAggregator));

// A disk is emptied here while the uplink brings the same upload.
TEST(TwoWays, AnUploadThatComesOverTwoConnectionsIsSettledOnBoth) {
  HopWorld world;
  HopServer::Options options;
  options.credit_bytes = 4 * (limits::kMinChunkBytes + limits::kSealTagBytes);
  TestServer server(world, Role::kAggregator, "top", options);
  const Identity device = world.fleet.Issue(Role::kDevice, "device-1");
  const Identity one = world.fleet.Issue(Role::kGateway, "gateway-1");
  const Identity two = world.fleet.Issue(Role::kGateway, "gateway-2");
  TestSender first(world, one, world.folder / "one", server.Address());
  TestSender second(world, two, world.folder / "two", server.Address());
  const SealedUpload upload = MakeSealed(world, device, 200'000);
  first.Put(upload);
  second.Put(upload);
  first.client().Start();
  second.client().Start();
  ASSERT_TRUE(world.RunUntilWithTime([&] { return first.gone.size() == 1 && second.gone.size() == 1; }));
  EXPECT_EQ(first.gone[0].second, std::nullopt);
  EXPECT_EQ(second.gone[0].second, std::nullopt);
  EXPECT_EQ(server.sink.complete.begin()->second.chunks, upload.chunks);
  EXPECT_EQ(server->counts().credit_in_use, 0u);
}

}  // namespace
}  // namespace tributary::carrier_test

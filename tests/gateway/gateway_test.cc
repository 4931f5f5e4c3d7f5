#include "gateway/gateway.h"

#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "tests/protocol/hop/hop_fixture.h"

namespace tributary {
namespace {

class GatewayTest : public ::testing::Test {
 protected:
  GatewayTest() {
    options_.data_dir = world_.folder / "data";
    options_.identity_dir = world_.fleet.IssueInto(world_.folder / "identity", Role::kGateway, "gateway-1");
    options_.listen = "tcp://127.0.0.1:*";
    options_.upstream = upstream_.endpoint();
    options_.upstream_key = ToHex(upstream_.identity().subject.curve_public_key);
  }
  Result<std::unique_ptr<Gateway>> Open() { return Gateway::Open(options_, world_.clock, random_, RealFileSystem()); }
  std::string OutcomeOfOpening() {
    const auto gateway = Open();
    return gateway ? "ok" : std::string(Name(gateway.error().code));
  }
  HopClient::Options Address(const Gateway& gateway) const {
    HopClient::Options options;
    options.endpoint = gateway.endpoint();
    options.server_key = LoadIdentity(options_.identity_dir, world_.clock.Now())->subject.curve_public_key;
    return options;
  }

  HopWorld world_;
  SystemRandom random_;
  TestServer upstream_{world_, Role::kAggregator, "aggregator"};
  GatewayOptions options_;
};

// A gateway that runs on a thread of its own while this is alive.
class Running {
 public:
  explicit Running(Result<std::unique_ptr<Gateway>> gateway) : gateway_(std::move(gateway)) {
    TRIBUTARY_CHECK(gateway_.has_value()) << gateway_.error().ToString();
    thread_ = std::thread([this] { (*gateway_)->Run(); });
  }
  ~Running() {
    (*gateway_)->Stop();
    thread_.join();
  }
  const Gateway& operator*() const { return **gateway_; }

 private:
  Result<std::unique_ptr<Gateway>> gateway_;
  std::thread thread_;
};

TEST_F(GatewayTest, ADataFolderThatAnotherHoldsIsLocked) {
  const auto first = Open();
  ASSERT_TRUE(first) << first.error().ToString();
  EXPECT_EQ(OutcomeOfOpening(), "locked");
}

TEST_F(GatewayTest, APortInUseIsSaid) {
  const auto first = Open();
  ASSERT_TRUE(first);
  options_.data_dir = world_.folder / "other-data";
  options_.listen = (*first)->endpoint();
  const auto second = Open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kPortInUse);
  EXPECT_NE(second.error().message.find(options_.listen), std::string::npos);
}

TEST_F(GatewayTest, AnIdentityOfAnotherRoleIsRefused) {
  options_.identity_dir = world_.fleet.IssueInto(world_.folder / "device-identity", Role::kDevice, "device-1");
  EXPECT_EQ(OutcomeOfOpening(), "wrong-role");
  options_.identity_dir = world_.folder / "nowhere";
  EXPECT_EQ(OutcomeOfOpening(), "missing-data");
}

TEST_F(GatewayTest, AConfigurationWithAnUnknownKeyNamesItsLine) {
  const auto load = [&](const std::string& more) {
    const Path file = world_.folder / "gateway.toml";
    std::ofstream(file)
        << "[gateway]\ndata_dir = \"data\"\nidentity_dir = \"identity\"\n[upstream]\nendpoint = \"tcp://127.0.0.1:1\"\n"
        << "server_key = \"" << std::string(64, 'a') << "\"\n"
        << more;
    return GatewayOptions::Load(file);
  };
  ASSERT_TRUE(load("")) << load("").error().ToString();
  const auto unknown = load("[spool]\nmax_gib = 3\n");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Code::kConfigUnknownKey);
  EXPECT_NE(unknown.error().message.find("8"), std::string::npos) << unknown.error().message;
  EXPECT_NE(unknown.error().message.find("max_gib"), std::string::npos) << unknown.error().message;
  const auto bounds = load("[listen]\ncredit_mib = 0\n");
  ASSERT_FALSE(bounds);
  EXPECT_EQ(bounds.error().code, Code::kConfigInvalid);
}

TEST_F(GatewayTest, ServesAndTakesCustodyWithoutAnUplinkAndCatchesUpAfter) {
  const Bytes publication = MakePublication(world_, upstream_.blobs, 1, ModelVersion{3});
  const BlobRef weights = PublicationOf(world_, publication).tasks[0].weights;
  const Identity device = world_.fleet.Issue(Role::kDevice, "device-1");
  const auto held = [&] { return std::filesystem::exists(options_.data_dir / "relay" / "publication.bin"); };
  {
    const Running gateway(Open());
    upstream_->Publish(publication, 1);
    ASSERT_TRUE(world_.RunUntilWithTime(held));
  }
  upstream_.Stop();
  {
    const Running gateway(Open());
    BlobStore blobs = *BlobStore::Open(RealFileSystem(), world_.folder / "device-blobs");
    TestSender sender(world_, device, world_.folder / "outbox", Address(*gateway));
    Fetcher fetcher(sender.client(), world_.loop, world_.random, blobs);
    sender.client().Start();
    sender.Put(MakeSealed(world_, device, 50'000));
    std::optional<Status> fetched;
    fetcher.Fetch(weights, [&](const Status& status) { fetched = status; });
    ASSERT_TRUE(
        world_.RunUntilWithTime([&] { return !sender.gone.empty() && fetched && !sender.publications.empty(); }));
    EXPECT_EQ(sender.gone[0].second, std::nullopt);
    EXPECT_TRUE(fetched->has_value());
    EXPECT_EQ(sender.publications[0], publication);
    EXPECT_TRUE(upstream_.sink.complete.empty());
  }
  upstream_.Start();
  upstream_->Publish(publication, 1);
  const Running gateway(Open());
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return upstream_.sink.complete.size() == 1; }));
  EXPECT_EQ(upstream_.sink.complete.begin()->second.header.subject.device, device.subject.id);
  EXPECT_EQ(upstream_.sink.offered_via[0], TestDevice("gateway-1"));
}

}  // namespace
}  // namespace tributary

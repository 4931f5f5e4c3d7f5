#include "gateway/gateway.h"

#include <filesystem>

#include "tests/gateway/gateway_fixture.h"
#include "tests/support/must.h"

namespace tributary::gateway_test {
namespace {

TEST_F(GatewayTest, ADataFolderThatAnotherHoldsIsLocked) {
  const auto first = Open();
  ASSERT_TRUE(first) << first.error().ToString();
  EXPECT_EQ(OutcomeOfOpening(), "locked");
}

TEST_F(GatewayTest, APortInUseIsSaid) {
  const auto first = Open();
  ASSERT_TRUE(first);
  options_.data_dir = world_.folder / "other-data";
  options_.hop.endpoint = (*first)->endpoint();
  const auto second = Open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kPortInUse);
  EXPECT_NE(second.error().message.find(options_.hop.endpoint), std::string::npos);
}

TEST_F(GatewayTest, ItsLimitsAreThoseOfItsConfiguration) {
  options_.hop.transport.gate.connections_per_address = 1;
  Running gateway(Open());
  const Identity one = world_.fleet.Issue(Role::kDevice, "device-1"),
                 two = world_.fleet.Issue(Role::kDevice, "device-2");
  auto first = std::make_unique<TestSender>(world_, one, world_.folder / "outbox-1", Address(*gateway));
  first->client().Start();
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return first->client().up(); }));
  TestSender second(world_, two, world_.folder / "outbox-2", Address(*gateway));
  second.client().Start();
  EXPECT_FALSE(world_.RunUntilWithTime([&] { return second.client().up(); }, Millis(20), 100));
  first.reset();
  EXPECT_TRUE(world_.RunUntilWithTime([&] { return second.client().up(); }));
}

TEST_F(GatewayTest, AnIdentityOfAnotherRoleIsRefused) {
  options_.identity_dir = world_.fleet.IssueInto(world_.folder / "device-identity", Role::kDevice, "device-1");
  EXPECT_EQ(OutcomeOfOpening(), "wrong-role");
  options_.identity_dir = world_.folder / "nowhere";
  EXPECT_EQ(OutcomeOfOpening(), "missing-data");
}

TEST_F(GatewayTest, AStopTellsTheClientsAndEndsAtOnceWhenNothingIsUnderWay) {
  Running gateway(Open());
  const Identity device = world_.fleet.Issue(Role::kDevice, "device-1");
  TestSender sender(world_, device, world_.folder / "outbox", Address(*gateway));
  sender.client().Start();
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return sender.client().up(); }));
  gateway.Stop();  // with a clock that stands still: no timeout ends it
  ASSERT_TRUE(world_.RunUntil([&] { return !sender.client().up(); }));
  EXPECT_EQ(sender.client().last_problem().code, Code::kShuttingDown);
}

TEST_F(GatewayTest, TheReportGoesUpWithEveryCheckIn) {
  const Running gateway(Open());
  const Identity below = world_.fleet.Issue(Role::kGateway, "gateway-2");
  TestSender child(world_, below, world_.folder / "outbox", Address(*gateway));
  GatewayState report;
  report.gateway = TestDevice("gateway-2");
  report.spool_bytes = 77;
  child.self.reports = {report};
  child.client().Start();
  const auto reported = [&]() -> const std::vector<GatewayState>* {
    return upstream_.check_ins.empty() ? nullptr : &upstream_.check_ins.back().second.reports;
  };
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return reported() && reported()->size() == 2; }));
  EXPECT_EQ(reported()->at(0).gateway, TestDevice("gateway-1"));
  EXPECT_EQ(reported()->at(0).spool_limit_bytes, 16'384ull * limits::kMiB);
  EXPECT_GT(reported()->at(0).disk_total_bytes, 0u);
  EXPECT_EQ(reported()->at(1).gateway, TestDevice("gateway-2"));
  EXPECT_EQ(reported()->at(1).parent, TestDevice("gateway-1"));
  EXPECT_EQ(reported()->at(1).spool_bytes, 77u);
}

TEST_F(GatewayTest, ADamagedInboxFileStopsNothing) {
  const Path inbox = options_.data_dir / "inbox";
  Must(RealFileSystem().CreateFolders(inbox));
  Must(WriteFileAtomically(RealFileSystem(), inbox / "x.order", AsBytes("nonsense")));
  const Running gateway(Open());
  EXPECT_TRUE(world_.RunUntilWithTime([&] { return !std::filesystem::exists(inbox / "x.order"); }));
  EXPECT_TRUE(std::filesystem::exists(inbox / "x.order.answer"));
}

}  // namespace
}  // namespace tributary::gateway_test

#include <gtest/gtest.h>

#include "tests/aggregator/round/round_fixture.h"

namespace tributary::gateway_book_test {
namespace {

class GatewayBookTest : public testing::Test, protected RoundFixture {
 protected:
  static GatewayState Report(const std::string& gateway, const std::string& parent, uint64_t age_millis = 0,
                             uint64_t publication = 1) {
    GatewayState report;
    report.gateway = TestDevice(gateway);
    report.parent = TestDevice(parent);
    report.age_millis = age_millis;
    report.publication_number = publication;
    return report;
  }
  void Saw(const std::vector<GatewayState>& reports, const std::string& via) {
    core().fleet().SawGateways(reports, TestDevice(via));
  }
  GatewayRecord Gateway(const std::string& id) {
    const auto gateways = *core().fleet().Gateways();
    for (const GatewayRecord& gateway : gateways) {
      if (gateway.report.gateway == TestDevice(id)) return gateway;
    }
    ADD_FAILURE() << id << " is not listed";
    return {};
  }
  static std::string PathOf(const GatewayRecord& gateway) {
    std::string path;
    for (const DeviceId& step : gateway.path) path += "/" + step.text();
    return path;
  }
};

TEST_F(GatewayBookTest, PathsComeFromParents) {
  Saw({Report("north", "top"), Report("site", "north", 14'000)}, "north");
  EXPECT_EQ(PathOf(Gateway("site")), "/top/north/site");
  EXPECT_EQ(PathOf(Gateway("north")), "/top/north");
  EXPECT_EQ(Gateway("site").via, TestDevice("north"));
  EXPECT_EQ(Gateway("site").quiet, Millis(14'000));
}

TEST_F(GatewayBookTest, ARingOfParentsEnds) {
  Saw({Report("a", "b"), Report("b", "a")}, "a");
  EXPECT_LE(Gateway("a").path.size(), limits::kPathHops);
}

TEST_F(GatewayBookTest, TheYoungerOfTwoReportsCountsAndAClockThatWasSetBackHarmsNothing) {
  Saw({Report("site", "north", 1'000, 7)}, "north");
  Saw({Report("site", "south", 5'000, 6)}, "south");
  EXPECT_EQ(Gateway("site").report.publication_number, 7u) << "it moved from south to north";
  clock.SetWall(clock.Now() + -std::chrono::hours(10));
  Saw({Report("site", "north", 0, 8)}, "north");
  EXPECT_EQ(Gateway("site").report.publication_number, 8u);
  clock.SetWall(clock.Now() + std::chrono::hours(20));
  Saw({Report("site", "north", 0, 9)}, "north");
  EXPECT_EQ(Gateway("site").report.publication_number, 9u);
  EXPECT_FALSE(Gateway("site").late());
}

TEST_F(GatewayBookTest, OneThatIsQuietIsLateUntilItIsHeardAgain) {
  Saw({Report("site", "top")}, "site");
  clock.Advance(Millis(90'000));
  EXPECT_FALSE(Gateway("site").late());
  clock.Advance(Millis(1));
  EXPECT_TRUE(Gateway("site").late());
  Saw({Report("site", "top")}, "site");
  EXPECT_FALSE(Gateway("site").late());
}

TEST_F(GatewayBookTest, ItIsKeptOverARestartAndForgottenAfterAMonth) {
  GatewayState report = Report("site", "top");
  report.trouble = "io: the disk clicks";
  report.accounts[0].offered = report.accounts[0].delivered = 12;
  report.uplink[LinkPurpose::kUploads].up = 77;
  Saw({report}, "site");
  const GatewayRecord before = Gateway("site");
  Pass(Millis(2000));
  Reopen();
  const GatewayRecord after = Gateway("site");
  EXPECT_EQ(after.report, before.report);
  EXPECT_EQ(after.made, before.made);
  EXPECT_EQ(after.first_seen, before.first_seen);
  EXPECT_EQ(after.via, before.via);
  Pass(std::chrono::hours(24 * 31));
  Reopen();
  EXPECT_TRUE(core().fleet().Gateways()->empty());
}

TEST_F(GatewayBookTest, MadeUpGatewaysAreBounded) {
  std::vector<GatewayState> reports;
  for (int i = 0; i < 10'100; ++i) reports.push_back(Report("made-up-" + std::to_string(i), "liar"));
  Saw(reports, "liar");
  EXPECT_EQ(core().fleet().CountGateways().all, 10'000u);
}

TEST_F(GatewayBookTest, AGatewayWithoutAReportIsListedToo) {
  MemberRecord member;
  member.id = member.via = TestDevice("old");
  member.role = RoleName(Role::kGateway);
  member.spooled_bytes = 5;
  core().fleet().Saw(member);
  EXPECT_EQ(Gateway("old").report.spool_bytes, 5u);
  EXPECT_EQ(PathOf(Gateway("old")), "/old");
}

}  // namespace
}  // namespace tributary::gateway_book_test

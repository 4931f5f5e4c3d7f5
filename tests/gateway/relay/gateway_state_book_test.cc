#include "gateway/relay/gateway_state_book.h"

#include <gtest/gtest.h>

#include "protocol/base/limits.h"
#include "tests/support/manual_clock.h"
#include "tests/support/test_fleet.h"

namespace tributary::gateway_state_book_test {
namespace {

GatewayState ReportOf(std::string_view gateway, uint64_t spool_bytes, Millis age = Millis(0)) {
  GatewayState report;
  report.gateway = TestDevice(gateway);
  report.parent = TestDevice("gateway-0");
  report.spool_bytes = spool_bytes;
  report.age_millis = static_cast<uint64_t>(age.count());
  return report;
}

class ReportBookTest : public ::testing::Test {
 protected:
  ManualClock clock_;
  GatewayStateBook book_{clock_, TestDevice("gateway-0")};
};

TEST_F(ReportBookTest, KeepsTheLastOfEachAndItsAgeGrows) {
  book_.Take({ReportOf("gateway-1", 10), ReportOf("gateway-2", 20, Millis(500))});
  clock_.Advance(Millis(1'000));
  book_.Take({ReportOf("gateway-1", 11)});
  clock_.Advance(Millis(30));
  const auto reports = book_.States();
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_EQ(reports[0], ReportOf("gateway-1", 11, Millis(30)));
  EXPECT_EQ(reports[1], ReportOf("gateway-2", 20, Millis(1'530)));
}

TEST_F(ReportBookTest, TheNewerWordOfTwoCounts) {
  book_.Take({ReportOf("gateway-1", 10, Millis(100))});
  book_.Take({ReportOf("gateway-1", 5, Millis(10'000))});
  ASSERT_EQ(book_.States().size(), 1u);
  EXPECT_EQ(book_.States()[0].spool_bytes, 10u);
}

TEST_F(ReportBookTest, ForgetsAfterAWeek) {
  book_.Take({ReportOf("gateway-1", 10)});
  clock_.Advance(GatewayStateBook::kKeep);
  EXPECT_EQ(book_.States().size(), 1u);
  clock_.Advance(Millis(1));
  EXPECT_TRUE(book_.States().empty());
  book_.Take({ReportOf("gateway-1", 10, GatewayStateBook::kKeep + Millis(1))});
  EXPECT_TRUE(book_.States().empty());
  GatewayState endless = ReportOf("gateway-1", 10);
  endless.age_millis = ~uint64_t{0};
  book_.Take({endless});
  EXPECT_TRUE(book_.States().empty());
}

TEST_F(ReportBookTest, KnowsNoEchoAndHoldsAtMostItsBound) {
  book_.Take({ReportOf("gateway-0", 1)});
  EXPECT_TRUE(book_.States().empty());
  for (int i = 1; i < 400; ++i) {
    clock_.Advance(Millis(1));
    book_.Take({ReportOf("gateway-" + std::to_string(i), 1)});
  }
  const auto reports = book_.States();
  EXPECT_EQ(reports.size(), limits::kGatewayReports - 1);
  // The freshest stay.
  for (const GatewayState& report : reports) EXPECT_LT(report.age_millis, limits::kGatewayReports - 1);
}

}  // namespace
}  // namespace tributary::gateway_state_book_test

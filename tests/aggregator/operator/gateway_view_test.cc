#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "aggregator/operator/command/gateway_commands.h"

namespace tributary::gateway_view_test {
namespace {

TEST(GatewayView, SizesAndAgesAsPeopleReadThem) {
  EXPECT_EQ(SizeText(0), "0 B");
  EXPECT_EQ(SizeText(1023), "1023 B");
  EXPECT_EQ(SizeText(1024), "1 KiB");
  EXPECT_EQ(SizeText(1536), "1.5 KiB");
  EXPECT_EQ(SizeText(1000 * 1024), "1000 KiB");
  EXPECT_EQ(SizeText(20ull << 30), "20 GiB");
  EXPECT_EQ(SizeText(UINT64_MAX), "16384 PiB");
  EXPECT_EQ(AgeText(0), "0 s");
  EXPECT_EQ(AgeText(119), "119 s");
  EXPECT_EQ(AgeText(120), "2 min");
  EXPECT_EQ(AgeText(7200), "2 h");
  EXPECT_EQ(AgeText(49 * 3600), "2 d");
}

}  // namespace
}  // namespace tributary::gateway_view_test

#include "protocol/base/result.h"

#include <memory>

#include <gtest/gtest.h>

namespace tributary::result_test {
namespace {

Result<std::unique_ptr<int>> Half(int value) {
  if (value % 2 != 0) return Fail(Code::kInvalidArgument, std::to_string(value) + " is odd");
  return std::make_unique<int>(value / 2);
}

Result<int> Quarter(int value) {
  ASSIGN_OR_RETURN(const auto half, Half(value));
  ASSIGN_OR_RETURN(const auto quarter, Half(*half));
  return *quarter;
}

Status CheckQuarter(int value) {
  RETURN_IF_ERROR(Quarter(value));
  return {};
}

TEST(Result, MacrosHandOnValuesAndErrors) {
  EXPECT_EQ(*Quarter(12), 3);
  EXPECT_TRUE(CheckQuarter(12).has_value());
  EXPECT_EQ(Quarter(7).error().ToString(), "invalid-argument: 7 is odd");
  EXPECT_EQ(CheckQuarter(6).error().message, "3 is odd");
}

TEST(CheckDeathTest, DiesWithTheValues) {
  const int got = 3;
  EXPECT_DEATH(TRIBUTARY_CHECK(got == 4) << "got " << got, "result_test.cc.*got == 4.*got 3");
}

}  // namespace
}  // namespace tributary::result_test

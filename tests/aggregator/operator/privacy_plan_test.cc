#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tributary::privacy_plan_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct Ended {
  int code = -1;
  std::string output;  // both streams
};

// The real `tributary`; it needs no aggregator.
Ended Plan(const std::string& arguments) {
  const std::string command = TRIBUTARY_BIN_DIR "/tributary privacy plan " + arguments + " 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  Ended ended;
  std::array<char, 4096> piece;
  for (size_t got = 0; (got = fread(piece.data(), 1, piece.size(), pipe)) > 0;) ended.output.append(piece.data(), got);
  ended.code = WEXITSTATUS(pclose(pipe));
  return ended;
}

TEST(PrivacyPlan, TwentyDevicesAreNoise) {
  const Ended ended = Plan("--parameters 215370 --devices 20 --rounds 10 --noise 1");
  EXPECT_EQ(ended.code, 2) << ended.output;
  EXPECT_THAT(ended.output, AllOf(HasSubstr("the noise has 23.2 times"), HasSubstr("140 devices in a round would do"),
                                  HasSubstr("19.42")));
}

TEST(PrivacyPlan, AThousandDevicesWithCorrelatedNoiseAreNot) {
  const std::string run = "--parameters 215370 --devices 1000 --rounds 100 --separation 20 --epsilon 8";
  const Ended apart = Plan(run), together = Plan(run + " --accounting correlated");
  EXPECT_EQ(apart.code, 0) << apart.output;
  EXPECT_EQ(together.code, 0) << together.output;
  EXPECT_THAT(together.output, HasSubstr("BLT noise"));
}

TEST(PrivacyPlan, MistakesNameTheirOption) {
  const std::string run = "--parameters 215370 --devices 1000 ";
  for (const auto& [more, said] :
       {std::pair("--noise x", "--noise must be a number"), std::pair("--noise 1 --delta 0.5", "--delta must be"),
        std::pair("--noise 1 --rounds 0", "--rounds must be"),
        std::pair("--noise 1 --epsilon 1", "give one, the other follows"),
        std::pair("--noise 1 --accounting moments", "--accounting")}) {
    const Ended ended = Plan(run + more);
    EXPECT_EQ(ended.code, 2) << more;
    EXPECT_THAT(ended.output, HasSubstr(said));
  }
  EXPECT_EQ(Plan("--noise 1").code, 2);
}

}  // namespace
}  // namespace tributary::privacy_plan_test

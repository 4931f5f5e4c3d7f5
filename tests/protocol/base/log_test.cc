#include "protocol/base/log.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "tests/support/temporary_folder.h"

namespace tributary::log_test {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

class LogTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(StartLog("info", path_).has_value()); }
  void TearDown() override { ASSERT_TRUE(StartLog("info", {}).has_value()); }
  std::string Text() const { return std::string(AsText(*ReadFile(RealFileSystem(), path_, 1 << 20))); }

  const TemporaryFolder folder_;
  const Path path_ = folder_ / "log";
};

TEST_F(LogTest, AnEventIsOneLineOfFields) {
  LogInfo("upload.custody", {{"id", "3f"}, {"bytes", 861504}, {"share", 0.5}, {"empty", ""}});
  const std::string line = Text();
  EXPECT_THAT(line, HasSubstr("upload.custody id=3f bytes=861504 share=0.5"));
  EXPECT_THAT(line, EndsWith("empty=\"\"\n"));
  EXPECT_EQ(line.find('T'), 10u) << "begins with a date in UTC: " << line;
  EXPECT_EQ(line[23], 'Z') << line;
}

TEST_F(LogTest, APeersTextCannotFakeALineOrAField) {
  std::string hostile = "x\n2026-01-01T00:00:00.000Z error  admin.login ok=yes\r\t\x1b[2J\"quoted\" back\\slash ";
  for (char c = 1; c < 0x20; ++c) hostile += c;
  hostile += '\0';
  LogWarning("peer.refused", {{"why", hostile}, {"after", "plain"}});
  const std::string text = Text();
  EXPECT_EQ(std::ranges::count(text, '\n'), 1);
  for (const unsigned char c : text) EXPECT_TRUE(c == '\n' || c >= 0x20) << static_cast<int>(c);
  EXPECT_THAT(text, HasSubstr("\\\"quoted\\\" back\\\\slash"));
  EXPECT_THAT(text, HasSubstr("\" after=plain"));
}

TEST_F(LogTest, AFailureCarriesCodeReasonAndRemedy) {
  LogFailure(LogLevel::kError, "spool.write", Error{Code::kDiskFull, "write /spool/x: No space left"}, {{"id", "7"}});
  EXPECT_THAT(Text(), HasSubstr("spool.write id=7 code=disk-full why=\"write /spool/x: No space left\" remedy=\""));
}

TEST_F(LogTest, BelowItsLevelNothingIsWritten) {
  LogDebug("quiet");
  LogInfo("loud");
  EXPECT_THAT(Text(), Not(HasSubstr("quiet")));
  EXPECT_THAT(Text(), HasSubstr("loud"));
}

TEST_F(LogTest, UnknownLevelsAndUnusablePathsAreRefused) {
  EXPECT_EQ(StartLog("verbose", {}).error().code, Code::kConfigInvalid);
  EXPECT_EQ(StartLog("info", folder_.path()).error().code, Code::kIo);
}

TEST_F(LogTest, EveryControlCharacterAloneIsEscaped) {
  for (int c = 0; c < 0x20; ++c) LogInfo("e", {{"v", std::string_view(std::string{'a', static_cast<char>(c), 'b'})}});
  LogInfo("e", {{"v",
                 "a\x7f"
                 "b"}});
  const std::string text = Text();
  EXPECT_EQ(std::ranges::count(text, '\n'), 33);
  for (const unsigned char c : text) EXPECT_TRUE(c == '\n' || (c >= 0x20 && c != 0x7f)) << static_cast<int>(c);
}

TEST_F(LogTest, AnApplicationTakesTheLinesItself) {
  std::vector<std::pair<LogLevel, std::string>> taken;
  const auto take = [&](LogLevel level, const std::string& line) {
    taken.emplace_back(level, line);
    LogError("inside", {{"dropped", "yes"}});
    EXPECT_EQ(StartLogTo({}, LogLevel::kInfo).error().code, Code::kConflict);
  };
  ASSERT_TRUE(StartLogTo(take, LogLevel::kInfo));
  LogDebug("quiet");
  LogWarning("loud", {{"id", "7"}});
  ASSERT_TRUE(StartLogTo({}, LogLevel::kDebug));
  LogError("nobody");
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].first, LogLevel::kWarning);
  EXPECT_THAT(taken[0].second, EndsWith("loud id=7"));
  EXPECT_EQ(Text(), "");
}

}  // namespace
}  // namespace tributary::log_test

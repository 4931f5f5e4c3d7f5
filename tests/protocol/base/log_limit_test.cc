#include "protocol/base/log_limit.h"

#include <algorithm>

#include <gmock/gmock.h>

#include "protocol/base/limits.h"
#include "protocol/base/log.h"
#include "tests/support/temporary_folder.h"

// Nobody can fill the log, and the log says how much it does not say.
namespace tributary::log_limit_test {
namespace {

using testing::HasSubstr;

constexpr int64_t kHour = 3'600;

TEST(LogLimitTest, APeerThatCausesLinesForAnHourGetsFewAndOthersKeepTheirs) {
  LogLimit limit;
  int64_t allowed = 0;
  uint64_t told = 0;
  for (int64_t second = 0; second < kHour; ++second) {
    const Millis now(second * 1'000);
    for (int i = 0; i < 10; ++i) allowed += limit.Allow("hop.closed", "bad", now) ? 1 : 0;
    for (const auto& [event, lines] : limit.Due(now)) {
      EXPECT_EQ(event, "hop.closed");
      told += lines;
    }
  }
  EXPECT_LT(allowed, 1'000);
  EXPECT_TRUE(limit.Allow("hop.closed", "good", Millis(kHour * 1'000)));
  for (const auto& held_back : limit.Due(Millis(kHour * 2'000))) told += held_back.lines;
  EXPECT_EQ(allowed + static_cast<int64_t>(told), kHour * 10) << "each line is written or counted";
}

TEST(LogLimitTest, PeersWithEverNewNamesShareWhatAnEventHas) {
  LogLimit limit;
  int64_t allowed = 0;
  for (int i = 0; i < 100'000; ++i) allowed += limit.Allow("upload.refused", std::to_string(i), Millis(i)) ? 1 : 0;
  EXPECT_LT(allowed, 600);
  EXPECT_TRUE(limit.Allow("round.ended", "", Millis(100'000))) << "another event has its own";
}

TEST(LogLimitTest, TheCountComesAfterAMinute) {
  LogLimit limit;
  while (limit.Allow("x", "y", Millis(0))) {
  }
  EXPECT_TRUE(limit.Due(Millis(59'999)).empty());
  ASSERT_EQ(limit.Due(Millis(60'000)).size(), 1u);
  EXPECT_TRUE(limit.Due(Millis(600'000)).empty()) << "told once";
}

TEST(LogLimitTest, TheLogItselfIsLimitedButAtDebug) {
  const TemporaryFolder folder;
  const auto lines = [&](const std::string& level) {
    EXPECT_TRUE(StartLog(level, folder / level));
    for (int i = 0; i < 1'000; ++i) {
      LogFailure(LogLevel::kWarning, "upload.refused", Error{Code::kMalformed, "no"}, {{"member", "bad"}});
    }
    LogWarning("upload.refused", {{"member", "good"}});
    EXPECT_TRUE(StartLog("info", {}));
    const std::string text(AsText(*ReadFile(RealFileSystem(), folder / level, limits::kMiB)));
    EXPECT_THAT(text, HasSubstr("member=good"));
    return std::count(text.begin(), text.end(), '\n');
  };
  EXPECT_LT(lines("info"), 100);
  EXPECT_EQ(lines("debug"), 1'001);
}

}  // namespace
}  // namespace tributary::log_limit_test

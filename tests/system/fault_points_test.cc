#include <unistd.h>

#include <algorithm>
#include <fstream>

#include <gtest/gtest.h>

#include "tests/system/crash_site.h"

// A SIGKILL at every point of protocol/base/fault_point.h that a process passes in an ordinary round, at its first pass
// and in the middle of its passes.
namespace tributary::fault_points_test {
namespace {

#ifdef TRIBUTARY_FAULT_POINTS

// For processes started while it lives.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) { setenv(name, value.c_str(), 1); }
  ~Environment() { unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
};

class FaultPoints : public testing::TestWithParam<const char*> {
 protected:
  void Restart(const std::string& id) {
    crash_.site().Kill(id);
    crash_.site().Start(id);
  }

  // How often the process passes each point from its start to the end of one round.
  std::map<std::string, int> Trace(const std::string& id) {
    const Path file = crash_.site().folder() / "trace";
    {
      const Environment trace("TRIBUTARY_FAULT_TRACE", file.string());
      Restart(id);
    }
    OneRound();
    std::map<std::string, int> passes;
    std::ifstream lines(file);
    for (std::string line; std::getline(lines, line);) ++passes[line];
    return passes;
  }

  void OneRound() {
    crash_.StartRounds(1);
    ASSERT_TRUE(crash_.AwaitRounds()) << crash_.Tails();
  }

  // Whether it died of it. The round is opened before, so that no call of the test's own is cut off.
  bool KillAt(const std::string& id, const std::string& point, int pass) {
    TestSite& site = crash_.site();
    site.Kill("fleet");
    crash_.StartRounds(1);
    if (id != "fleet") site.Kill(id);
    bool runs;
    {
      const Environment fault("TRIBUTARY_FAULT", point + ":" + std::to_string(pass));
      runs = site.TryStart(id);
    }
    if (id != "fleet") site.Start("fleet");
    if (runs) {
      const auto ended = [&] { return site.EndOf(id).has_value(); };
      site.Eventually([&] { return ended() || crash_.Completed() == crash_.rounds(); });
      // What comes after a round, such as the removal of what was delivered, may pass it too. Later passes may be more
      // than this round has.
      site.Eventually(ended, pass == 1 ? kPatience : Millis(1'000));
    }
    const auto code = site.EndOf(id);
    if (!code) return false;
    EXPECT_EQ(*code, 128 + SIGKILL) << id << " ended by itself at " << point << "\n" << crash_.Tails();
    site.Start(id);
    return true;
  }

  CrashSite crash_{{.devices = 3}};
};

TEST_P(FaultPoints, AKillAtEachOneChangesNothing) {
  const std::string id = GetParam();
  const auto points = Trace(id);
  ASSERT_FALSE(points.empty()) << id << " passes no fault point";
  int died = 0;
  for (const auto& [point, passes] : points) {
    EXPECT_TRUE(KillAt(id, point, 1)) << point;
    died += 1;
    if (passes > 2) died += KillAt(id, point, (passes + 1) / 2) ? 1 : 0;
    ASSERT_TRUE(crash_.AwaitRounds()) << "after a kill at " << point << "\n" << crash_.Tails();
  }
  crash_.ExpectNothingLostNothingTwice();
  std::cout << id << ": " << died << " kills at " << points.size() << " points" << std::endl;
}

INSTANTIATE_TEST_SUITE_P(Of, FaultPoints, testing::Values("aggregator", "gateway-1", "fleet"), [](const auto& each) {
  return each.param[0] == 'g' ? std::string("gateway") : std::string(each.param);
});

#else

TEST(FaultPoints, AreCompiledIn) {
  GTEST_SKIP() << "this build has no fault points; configure with -DTRIBUTARY_FAULT_POINTS=ON, or the ci preset";
}

#endif

}  // namespace
}  // namespace tributary::fault_points_test

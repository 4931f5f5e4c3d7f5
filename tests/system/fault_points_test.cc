#include <unistd.h>

#include <algorithm>
#include <fstream>

#include <gtest/gtest.h>

#include "tests/aggregator/release/prune_fixture.h"
#include "tests/system/crash_site.h"

// A SIGKILL at every point of protocol/base/fault_point.h that a process passes in an ordinary round, at its first pass
// and in the middle of its passes; and at those that an aggregator passes when it forgets what is old.
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

// How often each point of a trace was passed.
std::map<std::string, int> PassesIn(const Path& trace) {
  std::map<std::string, int> passes;
  std::ifstream lines(trace);
  for (std::string line; std::getline(lines, line);) ++passes[line];
  return passes;
}

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
    return PassesIn(file);
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
      // Work that comes after a round, such as the removal of what was delivered, may pass it too. Later passes may be
      // more than this round has.
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

// An aggregator with two years old versions, and evaluations of them, that nobody has forgotten yet. With 125 versions
// rounds are old enough to be forgotten too, which takes half a minute each time.
class FaultPointsOfForgetting : public testing::Test {
 protected:
  FaultPointsOfForgetting() {
    PruneFixture former;
    former.clock.SetWall({SystemClock().Now().unix_millis - Millis(std::chrono::hours(24 * 800)).count()});
    former.retention.versions = 1'000;
    former.Reopen();
    former.MakeVersions(kVersions);
    Must(former.core().tasks().Pin(former.task_id, ModelVersion{3}, "shipped"));
    former.Close();
    task_ = former.task_id.text();
    site_.AddAggregator();
    std::ofstream(site_.ConfigOf("aggregator"), std::ios::app)
        << "\n[retention]\nversions = 10\nevaluation_days = 1\nround_days = 1\n";
    Must(RealFileSystem().CreateFolders(data()));
    Copy(former.folder.path(), data());
    (void)site_.token();  // lies in the data folder, too
    Copy(data(), former_.path());
  }
  static void Copy(const Path& from, const Path& to) {
    for (const auto& entry : std::filesystem::directory_iterator(to)) std::filesystem::remove_all(entry);
    std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
  }
  Path data() const { return site_.DataOf("aggregator"); }
  void BeginAnew() { Copy(former_.path(), data()); }

  // Everything that is known of the versions, with the totals of their evaluations, and which files are there.
  struct Memory {
    Json versions;
    std::vector<std::string> blobs;
    bool operator==(const Memory&) const = default;
  };
  // Waits until all that is old is forgotten: the rows of old versions go last, when their evaluations were folded and
  // their weights removed. Ends the aggregator.
  Memory Forget() {
    Memory memory;
    const bool over = site_.Eventually([&] {
      const auto versions = site_.api().Versions(task_);
      if (!versions) return false;
      memory = {versions->at("items"), Must(RealFileSystem().List(data() / "blobs"))};
      return memory.versions.size() == 11;
    });
    EXPECT_TRUE(over) << memory.versions.size() << " versions are left\n" << site_.Logs();
    EXPECT_EQ(site_.Stop("aggregator"), 0);
    std::ranges::sort(memory.blobs);
    return memory;
  }

  const uint64_t kVersions = std::getenv("TRIBUTARY_LONG_TESTS") ? 125 : 16;
  TemporaryFolder former_;
  TestSite site_{TRIBUTARY_BIN_DIR};
  std::string task_;
};

TEST_F(FaultPointsOfForgetting, AKillAtEachOneForgetsTheSameAndNoTotal) {
  const Path trace = site_.folder() / "trace";
  BeginAnew();
  {
    const Environment traced("TRIBUTARY_FAULT_TRACE", trace.string());
    site_.Start("aggregator");
  }
  const Memory undisturbed = Forget();
  ASSERT_EQ(undisturbed.blobs.size(), 23u) << "what eleven versions have and their optimiser keeps, and the module";
  int kills = 0;
  for (const auto& [point, passes] : PassesIn(trace)) {
    if (!point.starts_with("aggregator.fold") && !point.starts_with("aggregator.prune") &&
        !point.starts_with("aggregator.forget"))
      continue;
    for (const int pass : std::set<int>{1, (passes + 1) / 2, passes}) {
      const std::string where = point + ":" + std::to_string(pass);
      BeginAnew();
      {
        const Environment fault("TRIBUTARY_FAULT", where);
        (void)site_.TryStart("aggregator");
      }
      ASSERT_TRUE(site_.Eventually([&] { return site_.EndOf("aggregator").has_value(); })) << where;
      ASSERT_EQ(site_.EndOf("aggregator"), 128 + SIGKILL) << where << "\n" << site_.Logs();
      site_.Start("aggregator");
      EXPECT_EQ(Forget(), undisturbed) << where;
      ++kills;
    }
  }
  std::cout << kills << " kills while forgetting " << kVersions << " versions" << std::endl;
  EXPECT_GE(kills, 10);
}

#else

TEST(FaultPoints, AreCompiledIn) {
  GTEST_SKIP() << "this build has no fault points; configure with -DTRIBUTARY_FAULT_POINTS=ON, or the ci preset";
}

#endif

}  // namespace
}  // namespace tributary::fault_points_test

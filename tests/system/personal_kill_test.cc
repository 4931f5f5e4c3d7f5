#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "device/agent/personal_store.h"
#include "tests/system/demo_task.h"

// A device that keeps its head (FedPer), in real processes. Each round changes its personal model twice: a fit makes the next
// one, and the version that follows takes it over. The device is killed once after every step of both.
namespace tributary::personal_kill_test {
namespace {

#ifdef TRIBUTARY_FAULT_POINTS

class PersonalSite {
 public:
  PersonalSite() : site_(TRIBUTARY_BIN_DIR) {
    site_.AddAggregator();
    site_.Start("aggregator");
    TaskRequest request = DemoTask(site_, 1);
    request.task.plan.strategy = StrategyName::kFedPer;
    Must(site_.api().CreateTask(request));
    const Site::Address server = site_.AddressOf("aggregator");
    site_.fleet().IssueInto(site_.IdentityOf("device"), Role::kDevice, "device");
    site_.AddProcess(
        "device", "tributary-device",
        "[device]\ndata_dir = \"device/data\"\nidentity_dir = \"device/identity\"\n[gateway]\nendpoint = \"" +
            server.endpoint + "\"\nserver_key = \"" + server.server_key +
            "\"\nretry_cap_seconds = 1\n[examples]\ntotal = 200\n");
  }

  // The device runs, with this variable in its environment.
  void StartDevice(const char* name, const std::string& value) {
    setenv(name, value.c_str(), 1);
    const bool started = site_.TryStart("device");
    unsetenv(name);
    ASSERT_TRUE(started) << site_.Logs();
  }
  void StopDevice() { EXPECT_EQ(site_.Stop("device"), 0) << site_.Logs(); }
  void StartDevice() { StartDevice("TRIBUTARY_UNUSED", ""); }
  void StartRound() { Must(site_.api().StartRounds(task_.text(), 1)); }
  void AwaitDeath() {
    ASSERT_TRUE(site_.Eventually([&] { return site_.EndOf("device").has_value(); }, Millis(60'000))) << site_.Logs();
    ASSERT_EQ(*site_.EndOf("device"), 128 + SIGKILL) << site_.Logs();
  }
  // The model on `version`, when it lies there alone.
  PersonalModel AwaitModelOn(uint64_t version) {
    const std::vector<std::string> alone = {fmt::format("{}.{}.model", task_.text(), version)};
    EXPECT_TRUE(site_.Eventually(
        [&] {
          const auto names = RealFileSystem().List(Folder());
          return names && *names == alone;
        },
        Millis(60'000)))
        << version << site_.Logs();
    return InForce();
  }
  // As the device's own start finds it.
  PersonalModel InForce() const {
    const PersonalStore store(RealFileSystem(), Folder());
    return Must(store.Read(task_, Must(store.Bases()).at(task_)));
  }
  Path Trace() const { return site_.folder() / "trace"; }
  std::vector<std::string> Digests() {
    std::vector<std::string> digests;
    const Json versions = Must(site_.api().Versions(task_.text()));
    for (const Json& version : versions.at("items")) digests.push_back(version.at("weights").at("digest"));
    return digests;
  }

 private:
  Path Folder() const { return site_.DataOf("device") / "personal"; }

  TestSite site_;
  const TaskId task_ = TestTask("digits");
};

// The points of personal models in the order in which they were passed, each with its number of passes so far, as
// TRIBUTARY_FAULT wants it.
std::vector<std::string> FaultsIn(const Path& trace) {
  std::vector<std::string> faults;
  std::map<std::string, int> passes;
  std::ifstream lines(trace);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("personal.")) faults.push_back(fmt::format("{}:{}", line, ++passes[line]));
  }
  return faults;
}

// What a kill on `former`'s version has left: `former`, or the model that the fit made of it, or that one on the next version.
void ExpectFormerOrNew(const PersonalModel& found, const PersonalModel& former) {
  const size_t steps = found.lineage.size() - former.lineage.size();
  ASSERT_LE(steps, 2u);
  if (steps == 0) {
    EXPECT_EQ(found, former);
    return;
  }
  EXPECT_TRUE(std::equal(former.lineage.begin(), former.lineage.end(), found.lineage.begin()));
  for (size_t i = former.lineage.size(); i < found.lineage.size(); ++i)
    EXPECT_EQ(found.lineage[i].base, former.base) << i;
  EXPECT_EQ(Number(found.base), Number(former.base) + steps - 1);
  EXPECT_FALSE(found.tensors.empty());
}

TEST(PersonalKill, AKillAfterEachStepLeavesTheFormerModelOrTheNewOneAndEndsInTheSameBits) {
  PersonalSite calm;
  calm.StartDevice();
  calm.StartRound();
  std::vector<PersonalModel> expected = {calm.AwaitModelOn(2)};
  calm.StopDevice();
  calm.StartDevice("TRIBUTARY_FAULT_TRACE", calm.Trace().string());
  calm.StartRound();
  expected.push_back(calm.AwaitModelOn(3));
  calm.StopDevice();
  const std::vector<std::string> points = FaultsIn(calm.Trace());
  ASSERT_GE(points.size(), 8u);
  // Two lives for each take seconds: all with TRIBUTARY_LONG_TESTS, else every third.
  std::vector<std::string> faults;
  for (size_t i = 0; i < points.size(); i += std::getenv("TRIBUTARY_LONG_TESTS") ? 1 : 3) faults.push_back(points[i]);
  calm.StartDevice();
  while (expected.size() <= faults.size()) {
    calm.StartRound();
    expected.push_back(calm.AwaitModelOn(expected.size() + 2));
  }

  PersonalSite killed;
  killed.StartDevice();
  killed.StartRound();
  ASSERT_EQ(killed.AwaitModelOn(2), expected[0]);
  for (size_t i = 0; i < faults.size() && !testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE(faults[i]);
    killed.StopDevice();
    killed.StartDevice("TRIBUTARY_FAULT", faults[i]);
    killed.StartRound();
    killed.AwaitDeath();
    ExpectFormerOrNew(killed.InForce(), expected[i]);
    killed.StartDevice();
    EXPECT_EQ(killed.AwaitModelOn(i + 3), expected[i + 1]);
  }
  EXPECT_EQ(killed.Digests(), calm.Digests());
}

#else

TEST(PersonalKill, NeedsFaultPoints) {
  GTEST_SKIP() << "this build has no fault points; configure with -DTRIBUTARY_FAULT_POINTS=ON, or the ci preset";
}

#endif

}  // namespace
}  // namespace tributary::personal_kill_test

#include <algorithm>
#include <cstdlib>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "aggregator/api/json_tasks.h"
#include "protocol/base/limits.h"
#include "protocol/catalogue/model_package.h"
#include "tests/support/must.h"
#include "tests/support/test_site.h"

// A device that keeps its head (FedPer), real processes, two rounds and the version after them; once undisturbed, and once
// with the device killed at each point where its personal model changes.
namespace tributary::personal_kill_test {
namespace {

#ifdef TRIBUTARY_FAULT_POINTS

constexpr uint64_t kRounds = 2;

class PersonalSite {
 public:
  PersonalSite() : site_(TRIBUTARY_BIN_DIR) {
    site_.AddAggregator();
    site_.Start("aggregator");
    const Ended made = site_.Run("tributary-device", {"new-model", "--seed", "1", "--out", "m.pt"});
    TRIBUTARY_CHECK(made.code == 0) << made.output;
    const Ended packed = site_.Run("tributary-device", {"pack", "m.pt", "--out", "m.tpkg"});
    TRIBUTARY_CHECK(packed.code == 0) << packed.output;
    const ModelPackage package =
        Must(DecodeModelPackage(Must(ReadFile(RealFileSystem(), site_.folder() / "m.tpkg", 16 * limits::kMiB))));
    TaskRequest request;
    request.task.id = TestTask("digits");
    request.task.table = package.table;
    request.task.module = Must(site_.api().PutBlob(package.module));
    request.weights = Must(site_.api().PutBlob(AsBytes(std::span<const float>(package.weights)))).digest;
    request.task.plan.epochs = 1;
    request.task.plan.strategy = StrategyName::kFedPer;
    request.task.policy = {.report_goal = 1, .minimum = 1, .deadline_seconds = 600, .inclusion = 1.0};
    Must(site_.api().CreateTask(request));
    const Site::Address server = site_.AddressOf("aggregator");
    site_.fleet().IssueInto(site_.IdentityOf("device"), Role::kDevice, "device");
    site_.AddProcess(
        "device", "tributary-device",
        "[device]\ndata_dir = \"device/data\"\nidentity_dir = \"device/identity\"\n[gateway]\nendpoint = \"" +
            server.endpoint + "\"\nserver_key = \"" + server.server_key +
            "\"\nretry_cap_seconds = 1\n[examples]\ntotal = 200\n");
  }

  void StartRounds() { Must(site_.api().StartRounds("digits", kRounds)); }
  // `fault`: the point and the pass at which the device dies; empty: nowhere.
  void StartDevice(const std::string& fault = "") {
    if (!fault.empty()) setenv("TRIBUTARY_FAULT", fault.c_str(), 1);
    (void)site_.TryStart("device");
    unsetenv("TRIBUTARY_FAULT");
  }
  void AwaitDeath() {
    ASSERT_TRUE(site_.Eventually([&] { return site_.EndOf("device").has_value(); }, Millis(60'000))) << site_.Logs();
    EXPECT_EQ(*site_.EndOf("device"), 128 + SIGKILL) << site_.Logs();
  }
  std::vector<std::string> Files() const {
    auto names = Must(RealFileSystem().List(Folder()));
    std::ranges::sort(names);
    return names;
  }
  // The personal model on the last version, when it lies alone in its folder.
  Bytes Finish() {
    const std::vector<std::string> alone = {"digits.3.model"};
    EXPECT_TRUE(site_.Eventually(
        [&] {
          const auto names = RealFileSystem().List(Folder());
          return names && *names == alone;
        },
        Millis(60'000)))
        << testing::PrintToString(Files()) << site_.Logs();
    return Must(ReadFile(RealFileSystem(), Folder() / alone[0], 16 * limits::kMiB));
  }
  std::vector<std::string> Digests() {
    std::vector<std::string> digests;
    const Json versions = Must(site_.api().Versions("digits"));
    for (const Json& version : versions.at("items")) digests.push_back(version.at("weights").at("digest"));
    return digests;
  }

 private:
  Path Folder() const { return site_.DataOf("device") / "personal"; }
  TestSite site_;
};

TEST(PersonalKill, AKillWhereverThePersonalModelChangesEndsInTheSameModelAndTheSameVersions) {
  PersonalSite calm;
  calm.StartDevice();
  calm.StartRounds();
  const Bytes expected = calm.Finish();
  const auto versions = calm.Digests();
  ASSERT_EQ(versions.size(), kRounds + 1);

  PersonalSite disturbed;
  disturbed.StartDevice("personal.prepared:2");
  disturbed.StartRounds();
  disturbed.AwaitDeath();
  EXPECT_EQ(disturbed.Files(), (std::vector<std::string>{"digits.1.model", "digits.2.next"}));
  // The fit is done again: it begins with the head of version 1, not with what it has prepared.
  disturbed.StartDevice("personal.renamed:1");
  disturbed.AwaitDeath();
  EXPECT_EQ(disturbed.Files(), (std::vector<std::string>{"digits.1.model", "digits.2.model"}));
  disturbed.StartDevice("personal.rebased:1");
  disturbed.AwaitDeath();
  EXPECT_EQ(disturbed.Files(), (std::vector<std::string>{"digits.2.model", "digits.3.model"}));
  disturbed.StartDevice();
  EXPECT_EQ(disturbed.Finish(), expected);
  EXPECT_EQ(disturbed.Digests(), versions);
}

#else

TEST(PersonalKill, NeedsFaultPoints) {
  GTEST_SKIP() << "this build has no fault points; configure with -DTRIBUTARY_FAULT_POINTS=ON, or the ci preset";
}

#endif

}  // namespace
}  // namespace tributary::personal_kill_test

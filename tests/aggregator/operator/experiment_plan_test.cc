// An experiment's file: what it says, what it may not say, and the grid of a sweep.
#include "aggregator/operator/experiment/experiment_plan.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"

namespace tributary::experiment_plan_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ExperimentPlanTest : public testing::Test {
 protected:
  ExperimentPlanTest() {
    std::filesystem::create_directories(folder_ / "images");
    std::ofstream(folder_ / "images/train-labels") << "pixels";
    std::ofstream(folder_ / "a.csv") << "x\n1\n";
    std::ofstream(folder_ / "m.pt") << "a module";
  }
  Path Write(const std::string& text) {
    std::ofstream(folder_ / "x.toml") << text;
    return folder_ / "x.toml";
  }
  Result<ExperimentPlan> Load(const std::string& text) { return ExperimentPlan::Load(Write(text)); }
  std::string ErrorOf(const std::string& text) {
    const auto plan = Load(text);
    return plan ? "none" : plan.error().message;
  }

  TemporaryFolder folder_;
};

constexpr const char* kImages = "[data]\nimages = \"images\"\n";
constexpr const char* kFiles = "[data]\nfiles = [\"a.csv\"]\n[model]\nfile = \"m.pt\"\n";

TEST_F(ExperimentPlanTest, TheTaskIsReadByItsOwnTables) {
  const ExperimentPlan plan =
      Must(Load("[experiment]\ndevices = 7\nseed = 3\n[data]\nimages = \"images\"\n[task.plan]\nepochs = 4\n"
                "[task.policy]\nreport_goal = 5\n[task.bounds]\nvalue = 2\n"));
  EXPECT_EQ(plan.title, "x");
  EXPECT_EQ(plan.devices, 7u);
  EXPECT_EQ(plan.task.plan.epochs, 4u);
  EXPECT_EQ(plan.task.plan.seed, 3u);
  EXPECT_EQ(plan.task.policy.report_goal, 5u);
  EXPECT_EQ(plan.task.policy.minimum, 5u);
  EXPECT_EQ(plan.task.value_bound, 2);
  EXPECT_EQ(plan.images, folder_ / "images");
}

TEST_F(ExperimentPlanTest, MistakesNameTheirLineBeforeAnythingStarts) {
  const std::pair<std::string, std::string> cases[] = {
      {"[experiment]\ndevice = 3\n", "x.toml:2: unknown key 'experiment.device'; keys of [experiment]: devices"},
      {"[experiment]\nrounds = \"ten\"\n", "x.toml:2: 'experiment.rounds' must be an integer"},
      {"[experiment]\nrounds = 0\n", "x.toml:2: 'experiment.rounds' must be between 1"},
      {"[task.plan]\nmomentum = 1\n", "x.toml:2: 'task.plan.momentum' must be"},
      {"[task.plan]\nepoch = 1\n", "x.toml:2: unknown key 'task.plan.epoch'"},
      {"[experiment]\ngateways = 0\nlevels = 2\n", "x.toml:3: 'experiment.levels' is for a tree with gateways"},
      {"[task.policy]\nreport_goal = 21\n",
       "x.toml:2: 'task.policy.report_goal' is 21, and the experiment has 20 devices"},
      {"[data]\nalpha = 1\ndeal = \"iid\"\n", "x.toml:2: 'data.alpha' is for data.deal = \"dirichlet\""},
      {"[data]\ntest_files = [\"a.csv\"]\n", "x.toml:2: 'data.test_files' is for data.files and data.device_files"},
      {"[data]\nfiles = [\"b.csv\"]\n[model]\nfile = \"m.pt\"\n", "b.csv, which is not there"},
      {"[data]\nfiles = [\"a.csv\"]\n", "'model.file' is missing"},
      {"[data]\nfiles = [\"a.csv\"]\ndevice_files = [\"a.csv\"]\n",
       "x.toml:3: 'data.device_files' cannot stand beside data.files"},
      {std::string(kFiles) + "[task]\nplan = 3\n", "task.plan"},
      {"[data]\nimages = \"nowhere\"\n", "nowhere, which is not there"},
      {"[sweep]\n\"task.plan.epochs\" = [1]\n[experiment\n", "x.toml:3"},
  };
  for (const auto& [text, words] : cases) EXPECT_THAT(ErrorOf(text), HasSubstr(words)) << text;
}

TEST_F(ExperimentPlanTest, TheWholePlanIsATextThatGivesThePlanAgain) {
  for (const std::string start : {kImages, kFiles}) {
    const ExperimentPlan plan =
        Must(Load(start + "[experiment]\ntitle = \"a \\\"b\\\" \\\\ c\"\n[task.plan]\nlearning_rate = "
                          "0.0125\nupdate_codec = [\"block4\", \"float32\"]\n"));
    const std::string text = Must(plan.Text());
    EXPECT_THAT(text, HasSubstr("learning_rate = 0.0125\n"));
    EXPECT_THAT(text, HasSubstr("# SHA-256 of the files:\n"));
    const ExperimentPlan again = Must(Load(text));
    EXPECT_EQ(Must(again.Text()), text);
    EXPECT_EQ(again.title, "a \"b\" \\ c");
    EXPECT_EQ(again.task.plan, plan.task.plan);
  }
}

TEST_F(ExperimentPlanTest, AnotherFileIsAnotherExperiment) {
  const std::string before = Must(Must(Load(kFiles)).Text());
  std::ofstream(folder_ / "a.csv") << "x\n2\n";
  EXPECT_NE(Must(Must(Load(kFiles)).Text()), before);
}

TEST_F(ExperimentPlanTest, ASweepIsAGridWithCases) {
  const auto points = Must(PointsOf(
      Write(std::string(kImages) +
            "[sweep]\n\"experiment.seed\" = [1, 2]\ntask.plan.update_codec = [[\"block4\"], [\"float32\"]]\n"
            "[sweep.cases.slow]\ntask.plan.learning_rate = 0.01\ntask.plan.epochs = 5\n[sweep.cases.plain]\n")));
  std::vector<std::string> names;
  for (const SweepPoint& point : points) names.push_back(point.name);
  EXPECT_THAT(names, ElementsAre("plain,seed=1,update_codec=block4", "plain,seed=1,update_codec=float32",
                                 "plain,seed=2,update_codec=block4", "plain,seed=2,update_codec=float32",
                                 "slow,seed=1,update_codec=block4", "slow,seed=1,update_codec=float32",
                                 "slow,seed=2,update_codec=block4", "slow,seed=2,update_codec=float32"));
  const ExperimentPlan last = Must(ExperimentPlan::Load(folder_ / "x.toml", points.back().settings));
  EXPECT_EQ(last.seed, 2u);
  EXPECT_EQ(last.task.plan.seed, 2u);
  EXPECT_EQ(last.task.plan.learning_rate, 0.01);
  EXPECT_EQ(last.task.plan.epochs, 5u);
  EXPECT_THAT(last.task.plan.update_codec, ElementsAre("float32"));
  EXPECT_EQ(Must(ExperimentPlan::Load(folder_ / "x.toml", points.front().settings)).task.plan.learning_rate,
            TrainingPlan().learning_rate);
}

TEST_F(ExperimentPlanTest, MistakesOfASweepNameTheirLine) {
  const auto error = [&](const std::string& sweep) {
    const auto points = PointsOf(Write(kImages + sweep));
    return points ? "none" : points.error().message;
  };
  EXPECT_THAT(error("[sweep]\n\"task.plan.epochs\" = [1, 0]\n"),
              HasSubstr("x.toml:4: 'task.plan.epochs' must be between 1"));
  EXPECT_THAT(error("[sweep]\n\"task.plan.epoch\" = [1]\n"),
              HasSubstr("x.toml:4: unknown key 'task.plan.epoch'; keys of [task.plan]: "));
  EXPECT_THAT(error("[sweep]\n\"task.plan.epochs\" = 1\n"), HasSubstr("'sweep.task.plan.epochs' must be a list"));
  EXPECT_THAT(error("[sweep.cases.a]\ntask.plan.epochs = 0\n"),
              HasSubstr("x.toml:4: 'task.plan.epochs' must be between 1"));
  EXPECT_THAT(error(""), HasSubstr("has no [sweep]"));
  EXPECT_THAT(ErrorOf(std::string(kImages) + "[sweep]\n\"experiment.seed\" = [1]\n"), "none");
}

// They are what people start from.
TEST(ShippedExperimentsTest, EveryOneIsRead) {
  const Path folder = Path(TRIBUTARY_SOURCE_DIR) / "bench/experiments";
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".toml") continue;
    ++files;
    const auto plan = ExperimentPlan::Load(entry.path());
    if (!plan && plan.error().message.find("data.images") != std::string::npos) GTEST_SKIP() << plan.error().message;
    EXPECT_TRUE(plan) << plan.error().message;
    const auto points = PointsOf(entry.path());
    EXPECT_TRUE(points) << points.error().message;
    EXPECT_GT(points->size(), 1u) << entry.path();
  }
  EXPECT_GT(files, 0);
}

}  // namespace
}  // namespace tributary::experiment_plan_test

// `tributary demo` as a person runs it, smaller: real processes, real training.
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "aggregator/operator/command/child_process.h"
#include "protocol/base/file.h"
#include "tests/aggregator/operator/program_folder.h"

namespace tributary::demo_test {
namespace {

using testing::HasSubstr;

class DemoTest : public testing::Test {
 protected:
  ChildProcess StartDemo(const std::string& folder, std::vector<std::string> more, int rounds = 2) {
    std::vector<std::string> argv = {(Path(TRIBUTARY_BIN_DIR) / "tributary").string(),
                                     "demo",
                                     "--devices=3",
                                     "--examples=240",
                                     "--rounds=" + std::to_string(rounds),
                                     "--epochs=1",
                                     "--dir",
                                     (folder_ / folder).string()};
    argv.insert(argv.end(), more.begin(), more.end());
    auto child = ChildProcess::Start({.argv = argv, .log = folder_ / (folder + ".out"), .folder = folder_.path()});
    EXPECT_TRUE(child.has_value());
    return std::move(*child);
  }

  std::string Text(const std::string& file) { return folder_.Text(file); }
  std::string Output(const std::string& folder) { return Text(folder + ".out"); }

  nlohmann::json Summary(const std::string& folder) {
    return nlohmann::json::parse(std::ifstream(folder_ / folder / "summary.json"));
  }

  ProgramFolder folder_;
};

TEST_F(DemoTest, TheSameSeedGivesTheSameBitsThroughAnyTree) {
  EXPECT_EQ(StartDemo("flat", {"--levels=0", "--min-accuracy=0"}).Wait(), 0) << Output("flat");
  EXPECT_EQ(StartDemo("deep", {"--levels=2", "--min-accuracy=0", "--json"}).Wait(), 0) << Output("deep");
  EXPECT_EQ(StartDemo("other", {"--levels=1", "--min-accuracy=0", "--seed=2"}).Wait(), 0) << Output("other");
  const auto flat = Summary("flat");
  EXPECT_EQ(flat["rounds"], 2);
  EXPECT_EQ(flat["updates"], 6);
  EXPECT_EQ(flat["refused"], 0);
  EXPECT_GT(flat["bytes_up"], 6 * 4 * 215'370);
  EXPECT_TRUE(flat["global_accuracy"].is_number());
  EXPECT_TRUE(flat["personal_accuracy"].is_number());
  EXPECT_GT(flat["seconds"], 0);
  EXPECT_TRUE(std::filesystem::exists(flat["model_file"].get<std::string>()));
  EXPECT_EQ(flat["model_digest"], Summary("deep")["model_digest"]);
  EXPECT_NE(flat["model_digest"], Summary("other")["model_digest"]);
  EXPECT_EQ(nlohmann::json::parse(Output("deep")), Summary("deep")) << "--json prints the summary and nothing else";
  for (const char* folder : {"flat", "deep", "other"}) EXPECT_EQ(folder_.ProcessesOf(folder), 0);
  // Each process was asked to end and did so in order.
  EXPECT_THAT(Text("deep/fleet.log"), HasSubstr("fleet.stopped"));
  EXPECT_THAT(Text("deep/evaluator.log"), HasSubstr("device.stopped"));
  EXPECT_THAT(Text("deep/gateway-1.log"), HasSubstr("gateway.stopped"));
  EXPECT_THAT(Text("deep/aggregator.log"), HasSubstr("aggregator.stopped"));
}

TEST_F(DemoTest, FailsWhenTheAccuracyIsNotReached) {
  EXPECT_EQ(StartDemo("low", {"--min-accuracy=1"}).Wait(), 1);
  EXPECT_THAT(Output("low"), HasSubstr("at least 1"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "low/summary.json"));
}

TEST_F(DemoTest, AnInterruptLeavesNoProcessBehind) {
  ChildProcess demo = StartDemo("cut", {}, 1000);
  // The fleet's log appears when its process runs; until then there is nothing to interrupt.
  while (!demo.Poll() && !std::filesystem::exists(folder_ / "cut/fleet.log")) demo.WaitFor(Millis(20));
  EXPECT_GT(folder_.ProcessesOf("cut"), 1);
  demo.Signal(SIGINT);
  EXPECT_EQ(demo.Wait(), 1);
  EXPECT_EQ(folder_.ProcessesOf("cut"), 0);
  EXPECT_THAT(Output("cut"), HasSubstr("Interrupted"));
}

TEST_F(DemoTest, AFolderThatIsNotEmptyIsLeftAlone) {
  std::filesystem::create_directories(folder_ / "mine");
  std::ofstream(folder_ / "mine/thesis.txt") << "years of work";
  EXPECT_EQ(StartDemo("mine", {}).Wait(), 1);
  EXPECT_THAT(Output("mine"), HasSubstr("not empty"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_ / "mine"), {}), 1);
}

}  // namespace
}  // namespace tributary::demo_test

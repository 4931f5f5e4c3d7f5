// `tributary experiment` as a person runs it, small: real processes, real training, on synthetic images.
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "aggregator/operator/command/child_process.h"
#include "protocol/base/file.h"
#include "tests/aggregator/operator/program_folder.h"

namespace tributary::experiment_test {
namespace {

using testing::HasSubstr;

// Images as the files of MNIST: of label n, the rows 2n and 2n+1 are bright.
void WriteImages(const Path& folder, const std::string& part, int count) {
  const auto number = [](int value) {
    return std::string{static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
                       static_cast<char>(value)};
  };
  std::ofstream images(folder / (part + "-images-idx3-ubyte")), labels(folder / (part + "-labels-idx1-ubyte"));
  images << std::string("\0\0\x08\x03", 4) << number(count) << number(28) << number(28);
  labels << std::string("\0\0\x08\x01", 4) << number(count);
  for (int i = 0; i < count; ++i) {
    const int label = i % 10;
    for (int pixel = 0; pixel < 28 * 28; ++pixel)
      images.put(static_cast<char>(pixel / 56 == label ? 200 + i % 50 : (pixel * 7 + i * 13) % 40));
    labels.put(static_cast<char>(label));
  }
}

class ExperimentTest : public testing::Test {
 protected:
  ExperimentTest() {
    std::filesystem::create_directories(folder_ / "images");
    WriteImages(folder_ / "images", "train", 90);
    WriteImages(folder_ / "images", "t10k", 30);
  }

  void WriteFile(int rounds, const std::string& more = "") {
    std::ofstream(folder_ / "small.toml")
        << "[experiment]\nrounds = " << rounds
        << "\ndevices = 3\ngateways = 1\n[data]\nimages = \"images\"\n[task.plan]\nepochs = 1\nbatch_size = 8\n"
        << more;
  }
  ChildProcess Start(const std::string& dir) {
    auto child = ChildProcess::Start(
        {.argv = {(Path(TRIBUTARY_BIN_DIR) / "tributary").string(), "experiment", "run",
                  (folder_ / "small.toml").string(), "--dir", (folder_ / dir).string(), "--keep-site"},
         .log = folder_ / (dir + ".out"),
         .folder = folder_.path()});
    EXPECT_TRUE(child.has_value());
    return std::move(*child);
  }
  std::string Text(const std::string& file) { return folder_.Text(file); }
  void WaitFor(ChildProcess& run, const std::string& file, const std::string& words) {
    while (!run.Poll() && Text(file).find(words) == std::string::npos) run.WaitFor(Millis(20));
    ASSERT_FALSE(run.Poll()) << Text(file);
  }

  ProgramFolder folder_;
};

TEST_F(ExperimentTest, ARunThatWasKilledGoesOnToTheBytesOfOneThatWasNot) {
  WriteFile(2);
  EXPECT_EQ(Start("whole").Wait(), 0) << Text("whole.out");
  const std::string metrics = Text("whole/metrics.csv");
  EXPECT_EQ(std::ranges::count(metrics, '\n'), 3) << metrics;
  EXPECT_THAT(metrics, HasSubstr("global.accuracy"));
  EXPECT_THAT(metrics, HasSubstr("personal.accuracy"));

  // In the middle of the second round, more or less, and once more later.
  ChildProcess first = Start("cut");
  WaitFor(first, "cut/metrics.jsonl", "\"round\":1");
  EXPECT_GT(folder_.ProcessesOf("cut"), 1);
  first.Signal(SIGKILL);
  first.Wait();
  EXPECT_EQ(Start("cut").Wait(), 0) << Text("cut.out");
  EXPECT_THAT(Text("cut.out"), HasSubstr("it goes on where it ended"));
  EXPECT_EQ(Text("cut/metrics.csv"), metrics);
  EXPECT_EQ(Text("cut/metrics.jsonl"), Text("whole/metrics.jsonl"));
  EXPECT_EQ(Text("cut/weights.f32"), Text("whole/weights.f32"));
  EXPECT_THAT(Text("cut/report.html"), HasSubstr("Accuracy over rounds"));
  EXPECT_THAT(Text("cut/report.html"), HasSubstr("worst tenth of the devices"));
  EXPECT_THAT(metrics, HasSubstr("spread.personal.accuracy.worst_tenth"));
  for (const char* file : {"manifests/2.json", "manifests/3.json"}) {
    const auto manifest = [&](const std::string& dir) {
      return nlohmann::json::parse(Text(dir + "/" + file))["signed"];
    };
    EXPECT_EQ(manifest("cut")["weights"], manifest("whole")["weights"]) << file;
    EXPECT_EQ(manifest("cut")["contributions"], 3) << file;
  }
  EXPECT_EQ(nlohmann::json::parse(Text("cut/versions.json"))["programs"].size(), 4u);
  for (const char* dir : {"whole", "cut"}) EXPECT_EQ(folder_.ProcessesOf(dir), 0);

  // Complete: nothing is done again. Another experiment is refused, and nothing is changed.
  const auto before = std::filesystem::last_write_time(folder_ / "cut/metrics.csv");
  EXPECT_EQ(Start("cut").Wait(), 0);
  EXPECT_THAT(Text("cut.out"), HasSubstr("is complete"));
  WriteFile(3);
  EXPECT_EQ(Start("cut").Wait(), 1);
  EXPECT_THAT(Text("cut.out"),
              HasSubstr("holds another experiment: there it says 'rounds = 2', and this one 'rounds = 3'"));
  EXPECT_EQ(std::filesystem::last_write_time(folder_ / "cut/metrics.csv"), before);
}

TEST_F(ExperimentTest, APrivateOneShowsWhatWasSpent) {
  WriteFile(1,
            "[task.bounds]\nfirst_norm = 1.0\nnorm_medians = 0\nweight_medians = 0\n"
            "[task.privacy]\nepsilon = 400\nrounds = 2\naccept_noise = true\n");
  EXPECT_EQ(Start("private").Wait(), 0) << Text("private.out");
  const auto record = nlohmann::json::parse(Text("private/metrics.jsonl"));
  EXPECT_GT(record.at("epsilon"), 0);
  EXPECT_LT(record.at("epsilon"), 400) << "one of two rounds";
  EXPECT_THAT(Text("private/report.html"), HasSubstr("Privacy spent"));
}

TEST_F(ExperimentTest, AnInterruptLeavesNoProcessBehindAndAForeignFolderAlone) {
  WriteFile(1000);
  ChildProcess run = Start("stopped");
  WaitFor(run, "stopped.out", "1000 rounds");
  EXPECT_GT(folder_.ProcessesOf("stopped"), 1);
  run.Signal(SIGINT);
  EXPECT_EQ(run.Wait(), 1);
  EXPECT_EQ(folder_.ProcessesOf("stopped"), 0);
  EXPECT_THAT(Text("stopped.out"), HasSubstr("to go on where it was"));

  std::filesystem::create_directories(folder_ / "mine");
  std::ofstream(folder_ / "mine/thesis.txt") << "years of work";
  EXPECT_EQ(Start("mine").Wait(), 1);
  EXPECT_THAT(Text("mine.out"), HasSubstr("is not empty and holds no experiment"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_ / "mine"), {}), 1);
}

}  // namespace
}  // namespace tributary::experiment_test

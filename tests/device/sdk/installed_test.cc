#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <random>

#include <gmock/gmock.h>

#include "tests/device/sdk/line_site.h"
#include "tests/support/must.h"
#include "tests/support/sanitized.h"

// Programs of others: built from folders of their own against what `cmake --install` put down, and run.
namespace tributary::installed_test {
namespace {

using testing::HasSubstr;

const std::string kExamples = TRIBUTARY_SOURCE_DIR "/device/sdk/examples/";
const std::string kC = "gcc -std=c99 -pedantic -Wall -Wextra -Wshadow -Werror -O1 ";
const std::string kCxx = "g++ -std=c++17 -pedantic -Wall -Wextra -Wshadow -Werror -O1 ";

// Runs a line of the shell; the test fails with what it said unless it ends well.
std::string Shell(const std::string& line) {
  FILE* pipe = popen(("exec 2>&1; " + line).c_str(), "r");
  std::string said;
  for (int c; (c = fgetc(pipe)) != EOF;) said += static_cast<char>(c);
  EXPECT_EQ(pclose(pipe), 0) << line << "\n" << said;
  return said;
}

// What is installed, and the examples, built beside it.
class Installed {
 public:
  Installed() {
    Shell("cmake --install " TRIBUTARY_BIN_DIR "/.. --component sdk --prefix " + prefix());
    const std::string flags =
        Shell("PKG_CONFIG_PATH=" + prefix() + "/lib/pkgconfig pkg-config --cflags --libs tributary");
    with_pkg_config_ = flags.substr(0, flags.find('\n')) + " -Wl,-rpath," + prefix() + "/lib";
  }
  std::string prefix() const { return folder_ / "prefix"; }
  const std::string& with_pkg_config() const { return with_pkg_config_; }
  std::string operator/(const std::string& name) const { return folder_ / name; }

 private:
  const TemporaryFolder folder_;
  std::string with_pkg_config_;
};

class InstalledTest : public testing::Test {
 protected:
  void SetUp() override {
    if (kSanitized) GTEST_SKIP() << "programs of others have no sanitizer";
  }
};

// A run of an example that learns up to version 2 as board-1.
class Life {
 public:
  Life(LineSite& line, std::string program, std::vector<std::string> learner = LineSite::Learner())
      : line_(line),
        program_(std::move(program)),
        learner_(std::move(learner)),
        invitation_(line.Invitation("board-1")) {
    line_.StartRounds(1);
  }
  void Begin() {
    const Path folder = line_.site().folder();
    ChildProcess::Spec spec;
    spec.argv = {program_, folder / "board-1", line_.endpoint(), line_.server_key(), invitation_, "2"};
    for (const std::string& word : learner_) spec.argv.push_back(word);
    spec.log = folder / "board-1.out";
    child_.emplace(Must(ChildProcess::Start(spec)));
  }
  // Kills it when it has said this, or ended.
  void KillAfter(const std::string& said) {
    const size_t before = Text().size();
    Begin();
    EXPECT_TRUE(
        line_.site().Eventually([&] { return Text().find(said, before) != std::string::npos || child_->Poll(); }));
    Kill();
  }
  void KillAfter(Millis life) {
    Begin();
    (void)child_->WaitFor(life);
    Kill();
  }
  std::string Finish() {
    Begin();
    EXPECT_EQ(child_->WaitFor(kPatience), 0) << Text() << line_.site().Logs();
    const std::string text = Text();
    const size_t predicted = text.find("predicted");
    return predicted == std::string::npos ? text : text.substr(predicted);
  }
  std::string Text() const {
    std::ifstream in(line_.site().folder() / "board-1.out");
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  void Kill() {
    child_->Signal(SIGKILL);
    child_->Wait();
  }

  LineSite& line_;
  const std::string program_;
  const std::vector<std::string> learner_;
  const std::string invitation_;
  std::optional<ChildProcess> child_;
};

TEST_F(InstalledTest, TheExamplesInCAndCxxLearnTheSameAndPredictTheSameBits) {
  const Installed installed;
  Shell(kC + kExamples + "learn_line.c -o " + (installed / "in_c") + " " + installed.with_pkg_config());
  // With CMake, from a copy: nothing of the tree is beside it.
  Shell("cp -r " + kExamples + " " + (installed / "examples"));
  Shell("cmake -S " + (installed / "examples") + " -B " + (installed / "build") + " -DCMAKE_PREFIX_PATH=" +
        installed.prefix() + " -DCMAKE_CXX_FLAGS='-Wall -Wextra -Wshadow -Werror' && cmake --build " +
        (installed / "build") + " --target learn_line");
  LineSite for_c, for_cxx;
  Life in_c(for_c, installed / "in_c"), in_cxx(for_cxx, installed / "build/learn_line");
  const std::string predicted = in_c.Finish();
  EXPECT_THAT(predicted, HasSubstr("predicted output 0x"));
  EXPECT_EQ(in_cxx.Finish(), predicted);
  // The one has its points in a collection, the other one hosts them.
  EXPECT_EQ(for_c.Digests(), for_cxx.Digests());
}

// The line by least squares; what the plan keeps stays on the device.
constexpr const char* kOwnLearner = R"(
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from tributary import learner

def train(weights, examples, config):
    x = np.column_stack([examples["x"], np.ones(len(examples["y"]))])
    found = np.linalg.lstsq(x, examples["y"], rcond=None)[0]
    return {"w": found[:2], "b": found[2:]}, len(x), {}

def evaluate(weights, examples, config):
    return {"loss": ((examples["x"] @ weights["w"] + weights["b"] - examples["y"]) ** 2).mean()}

learner.run(train, evaluate, lambda weights, inputs, config: inputs["x"] @ weights["w"] + weights["b"])
)";
// Compares its own answer, bit by bit, with the lines that another program printed.
constexpr const char* kAskInPython = R"(
import sys
package, folder, learner, printed = sys.argv[1:]
sys.path.insert(0, package)
import numpy as np
import tributary
with tributary.Device(folder, learner=["/usr/bin/python3", "-B", learner, package]) as device:
    y = device.predict("line", {"x": np.float32([[0.25, 0.5], [1, -1]])})
assert y.version == 2 and y.personal
given = [float.fromhex(line.split()[2]) for line in printed.splitlines()]
assert y["output"].tolist() == given, (y["output"].tolist(), given)
)";

TEST_F(InstalledTest, TheDevicesOwnModelPredictsTheSameInCCxxAndPython) {
  const Installed installed;
  const std::string package = TRIBUTARY_SOURCE_DIR "/device/sdk/python", own = installed / "own.py";
  std::ofstream(own) << kOwnLearner;
  std::ofstream(installed / "ask.py") << kAskInPython;
  const std::vector<std::string> learner = {"/usr/bin/python3", "-B", own, package};
  Shell(kC + kExamples + "learn_line.c -o " + (installed / "in_c") + " " + installed.with_pkg_config());
  Shell(kCxx + kExamples + "learn_line.cpp -o " + (installed / "in_cxx") + " " + installed.with_pkg_config());
  // Of w and b the last one is the head, which fedper keeps on the device.
  LineSite for_c(1, StrategyName::kFedPer), for_cxx(1, StrategyName::kFedPer);
  Life in_c(for_c, installed / "in_c", learner), in_cxx(for_cxx, installed / "in_cxx", learner);
  const std::string predicted = in_c.Finish();
  EXPECT_THAT(predicted, testing::MatchesRegex("(predicted output -?0x.*p.* by version 2, personal\n){2}"));
  EXPECT_EQ(in_cxx.Finish(), predicted);
  const std::string folder = for_c.site().folder() / "board-1";
  Shell("TRIBUTARY_LIBRARY=" + installed.prefix() + "/lib/libtributary.so.0 /usr/bin/python3 -B " +
        (installed / "ask.py") + " " + package + " " + folder + " " + own + " '" + predicted + "'");
}

TEST_F(InstalledTest, AnApplicationThatIsKilledAtAnyPointGoesOnToTheSameBits) {
  const Installed installed;
  const std::string program = installed / "in_c";
  Shell(kC + kExamples + "learn_line.c -o " + program + " " + installed.with_pkg_config());
  LineSite undisturbed, disturbed;
  Life whole(undisturbed, program), killed(disturbed, program);
  const std::string predicted = whole.Finish();
  // Enrolment, the examples.
  std::mt19937 random(1);
  for (int i = 0; i < 6; ++i) killed.KillAfter(Millis(random() % 40));
  // The model is not to blame for three ends during the work on it.
  for (int i = 0; i < 2; ++i) killed.KillAfter("event 4 line 1");  // within the fit
  killed.KillAfter("event 5 line 1");                              // before the delivery
  EXPECT_EQ(killed.Finish(), predicted);
  EXPECT_EQ(disturbed.Digests(), undisturbed.Digests());
}

TEST_F(InstalledTest, AnApplicationOfTheFirstVersionLinksAndRuns) {
  const Installed installed;
  const std::string program = installed / "former";
  const std::string library = TRIBUTARY_BIN_DIR "/../lib";
  Shell(kC + TRIBUTARY_SOURCE_DIR "/tests/device/sdk/former/application.c -o " + program + " -L" + library +
        " -ltributary -Wl,-rpath," + library);
  EXPECT_EQ(Shell(program + " " + (installed / "device")), "") << "and nothing is written";
}

TEST_F(InstalledTest, TheProgramOfTheReadmeCompiles) {
  const Installed installed;
  std::ifstream in(TRIBUTARY_SOURCE_DIR "/README.md");
  const std::string text{std::istreambuf_iterator<char>(in), {}}, begin = "```cpp\n";
  const size_t first = text.find(begin) + begin.size();
  std::ofstream(installed / "app.cpp") << text.substr(first, text.find("```", first) - first);
  Shell(kCxx + (installed / "app.cpp") + " -o " + (installed / "app") + " " + installed.with_pkg_config());
}

TEST_F(InstalledTest, TheHeaderIsCxxToo) {
  const Installed installed;
  const std::string source = installed / "both.cc";
  std::ofstream(source)
      << "#include <tributary/tributary.hpp>\n#include <tributary/tributary.h>\n"
         "int main() { return tributary::Device::Open({\"\"}).error().code == TRIBUTARY_CONFIG_INVALID ? 0 : 1; }\n";
  Shell(kCxx + source + " -o " + (installed / "both") + " " + installed.with_pkg_config() + " && " +
        (installed / "both"));
}

}  // namespace
}  // namespace tributary::installed_test

#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "aggregator/operator/command/child_process.h"
#include "protocol/catalogue/model_package.h"
#include "tests/aggregator/api/api_fixture.h"
#include "tests/support/small_module.h"

namespace tributary {

// The end of a run of the command.
struct TributaryOutcome {
  int code = -1;
  std::string output;  // both streams
};

// The real `tributary` beside an API with a fake core behind it.
class TributaryTest : public ApiFixture {
 protected:
  TributaryTest() {
    const Path programs = folder_ / "bin";
    std::filesystem::create_directories(programs);
    std::filesystem::copy_file(Path(TRIBUTARY_BIN_DIR) / "tributary", program_);
  }

  std::vector<std::string> Command(std::vector<std::string> arguments) const {
    std::vector<std::string> argv = {
        "env", "-u", "TRIBUTARY_TOKEN", "PATH=/nonexistent", program_.string(), "--url", url(), "--token", token_};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return argv;
  }

  TributaryOutcome RunArgv(const std::vector<std::string>& argv) {
    const Path log = folder_ / "log";
    std::filesystem::remove(log);
    auto child = ChildProcess::Start({.argv = argv, .log = log, .folder = folder_.path()});
    EXPECT_TRUE(child.has_value());
    TributaryOutcome outcome;
    outcome.code = child->Wait();
    outcome.output = AsText(*ReadFile(RealFileSystem(), log, 1'000'000));
    return outcome;
  }
  TributaryOutcome Tributary(std::vector<std::string> arguments) { return RunArgv(Command(std::move(arguments))); }

  void Write(const Path& name, std::string_view text) {
    ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), folder_ / name, AsBytes(text)));
  }

  void WritePackage() {
    ModelPackage package;
    package.table.tensors = {{"w", {2}, 0, 2}};
    package.module = SmallModule();
    package.weights = {1.5F, -2};
    package.manifest.metrics = {{"mae", MetricDirection::kSmaller}};
    Write("m.tpkg", AsText(EncodeModelPackage(package)));
  }

  void CreateTask() {
    WritePackage();
    const TributaryOutcome made = Tributary({"task", "create", "digits", "--package", "m.tpkg"});
    ASSERT_EQ(made.code, 0) << made.output;
  }

  // A stand-in for tributary-device beside the copied tributary: `export` joins the two files it is given.
  void InstallDevice(std::string_view script) {
    Write("bin/tributary-device", script);
    std::filesystem::permissions(folder_ / "bin/tributary-device", std::filesystem::perms::owner_all);
  }

  const Path program_ = folder_ / "bin" / "tributary";
};

}  // namespace tributary

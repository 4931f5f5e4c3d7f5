#include "protocol/base/process/tools.h"

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

#include "protocol/base/process/daemon.h"

namespace tributary::tools_test {
namespace {

const ToolProgram kProgram{"program", "for a test", {"bundle", "spool"}};

bool IsToolOf(std::vector<std::string> words) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  return IsTool(kProgram, static_cast<int>(argv.size()), argv.data());
}

TEST(ToolsTest, AToolIsAWordAndNotTheNameOfAFile) {
  EXPECT_TRUE(IsToolOf({"program", "--config", "file", "bundle", "import", "disk"}));
  EXPECT_TRUE(IsToolOf({"program", "spool", "check", "-c", "file"}));
  EXPECT_TRUE(IsToolOf({"program", "--config=bundle", "bundle"}));
  EXPECT_FALSE(IsToolOf({"program", "--config", "bundle"}));
  EXPECT_FALSE(IsToolOf({"program", "-c", "spool", "--check-config"}));
  EXPECT_FALSE(IsToolOf({"program", "--config=bundle"}));
  EXPECT_FALSE(IsToolOf({"bundle"}));
}

struct NoOptions {
  static Result<NoOptions> Load(const Path& file) {
    if (file == "absent") return Fail(Code::kConfigInvalid, "no such file");
    return NoOptions{};
  }
};

int ExitOf(std::vector<std::string> words, const Status& outcome) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  return RunTool<NoOptions>(
      kProgram, static_cast<int>(argv.size()), argv.data(), [&](CLI::App& app, Tool<NoOptions>& chosen) {
        app.add_subcommand("spool", "")->callback([&] { chosen = [&](const NoOptions&) { return outcome; }; });
      });
}

TEST(ToolsTest, TheExitCodeSaysWhatWentWrong) {
  EXPECT_EQ(ExitOf({"program", "--config", "file", "spool"}, {}), kExitOk);
  EXPECT_EQ(ExitOf({"program", "--config", "file", "spool"}, Fail(Code::kCorrupt, "damaged")), kExitFailure);
  EXPECT_EQ(ExitOf({"program", "--config", "absent", "spool"}, {}), kExitUsage);
  EXPECT_EQ(ExitOf({"program", "--config", "file"}, {}), kExitUsage);
}

}  // namespace
}  // namespace tributary::tools_test

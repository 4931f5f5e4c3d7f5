#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/support/temporary_folder.h"

namespace tributary {

// A folder that programs are run in, each with a folder of its own below.
class ProgramFolder : public TemporaryFolder {
 public:
  // Empty when there is no such file.
  std::string Text(const std::string& file) const {
    std::ostringstream text;
    text << std::ifstream(*this / file).rdbuf();
    return text.str();
  }
  // How many processes run with this folder on their command line.
  int ProcessesOf(const std::string& dir) const {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      std::ostringstream command;
      command << std::ifstream(entry.path() / "cmdline").rdbuf();
      if (command.str().find((*this / dir).string()) != std::string::npos) ++count;
    }
    return count;
  }
};

}  // namespace tributary

#pragma once

#include <unistd.h>

#include <string>

#include "protocol/base/file.h"

namespace tributary::bench {

// An empty folder below the working folder (so on a real disk, which /tmp need not be), removed at the end. Resource
// type.
class ScratchFolder {
 public:
  ScratchFolder() : path_(std::filesystem::current_path() / ("bench-scratch-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(path_);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Path operator/(const Path& below) const { return path_ / below; }

 private:
  Path path_;
};

}  // namespace tributary::bench

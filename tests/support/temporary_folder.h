#pragma once

#include "protocol/base/file.h"

namespace tributary {

// A new, empty folder that is removed with everything in it at the end of the scope. Resource type.
class TemporaryFolder {
 public:
  TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();

  const Path& path() const { return path_; }
  Path operator/(const Path& below) const { return path_ / below; }

 private:
  Path path_;
};

}  // namespace tributary

#pragma once

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "protocol/base/file.h"

namespace tributary {

// Whether any file below `folder` contains `needle`.
inline bool FilesContain(const Path& folder, std::string_view needle) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    if (bytes.find(needle) != std::string::npos) return true;
  }
  return false;
}

}  // namespace tributary

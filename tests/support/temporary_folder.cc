#include "tests/support/temporary_folder.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace tributary {

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "tributary-test-XXXXXX").string();
  TRIBUTARY_CHECK(mkdtemp(pattern.data()) != nullptr) << pattern << ": " << std::strerror(errno);
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;  // a test may have taken the folder away itself
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace tributary

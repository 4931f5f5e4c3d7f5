#include "tests/support/small_module.h"

#include "protocol/base/file.h"
#include "protocol/base/limits.h"
#include "tests/support/must.h"

namespace tributary {

Bytes ModuleVector(const std::string& name) {
  return Must(ReadFile(RealFileSystem(), Path(TRIBUTARY_SOURCE_DIR) / "tests/vectors/modules" / name, limits::kMiB));
}

}  // namespace tributary

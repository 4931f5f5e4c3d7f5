#include "protocol/base/result.h"

#include <cstdio>
#include <cstdlib>

namespace tributary {

CheckFailure::CheckFailure(const char* file, int line, const char* condition)
    : text_(fmt::format("{}:{}: check failed: {} ", file, line, condition)) {}

CheckFailure::~CheckFailure() {
  std::fprintf(stderr, "%s\n", text_.c_str());
  std::abort();
}

}  // namespace tributary

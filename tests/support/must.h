#pragma once

#include <utility>

#include "protocol/base/result.h"

namespace tributary {

// The value, or death with the error: for what a test needs and does not test.
template <class T>
T Must(Result<T> result) {
  TRIBUTARY_CHECK(result.has_value()) << result.error().ToString();
  return std::move(*result);
}
inline void Must(const Status& status) { TRIBUTARY_CHECK(status.has_value()) << status.error().ToString(); }

}  // namespace tributary

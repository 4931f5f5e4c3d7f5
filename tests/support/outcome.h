#pragma once

#include <string>

#include "protocol/base/result.h"

namespace tributary {

// "ok", or the code of the refusal: for tables of what is taken and what is not.
template <class T>
std::string Outcome(const Result<T>& result) {
  return result ? "ok" : std::string(Name(result.error().code));
}

}  // namespace tributary

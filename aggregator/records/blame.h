#pragma once

#include "protocol/base/code.h"

namespace tributary {

// This machine's fault and not the sender's: what was offered is still good.
constexpr bool IsOfTheEnvironment(Code code) {
  return (code >= Code::kIo && code < Code::kConfigSyntax) || code == Code::kDiskFull || code == Code::kReadOnly;
}

}  // namespace tributary

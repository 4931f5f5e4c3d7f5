#include "gateway/forward/link_policy.h"

#include <algorithm>

namespace tributary {

Result<std::set<UploadKind>> ParseKinds(const std::vector<std::string>& names) {
  std::set<UploadKind> kinds;
  for (const std::string& written : names) {
    const std::string name = written == "telemetry" ? "device_state" : written;  // its name in 0.1.0
    const auto* found = std::ranges::find_if(kUploadKinds, [&](UploadKind kind) { return KindName(kind) == name; });
    if (found == std::end(kUploadKinds)) {
      return Fail(Code::kInvalidArgument,
                  "\"" + name + "\" is no kind of upload; there are update, evaluation, device_state and sample");
    }
    kinds.insert(*found);
  }
  return kinds;
}

}  // namespace tributary

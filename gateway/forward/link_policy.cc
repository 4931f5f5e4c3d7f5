#include "gateway/forward/link_policy.h"

#include <algorithm>

namespace tributary {

Status LinkPolicy::Validate() const {
  for (const uint64_t cap : {up_bytes_per_second, down_bytes_per_second}) {
    if (cap == 0 || cap >= kLeastCap) continue;
    return Fail(Code::kInvalidArgument, "a cap of " + std::to_string(cap) + " bytes per second; the least is " +
                                            std::to_string(kLeastCap) + ", and 0 means none");
  }
  return {};
}

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

Result<ScheduleZone> ParseScheduleZone(const std::string& name) {
  if (name == "utc") return ScheduleZone::kUtc;
  if (name == "local") return ScheduleZone::kLocal;
  return Fail(Code::kInvalidArgument, "\"" + name + "\" is no zone of a schedule; there are utc and local");
}

}  // namespace tributary

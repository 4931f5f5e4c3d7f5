#include "gateway/forward/link_policy.h"

#include <algorithm>
#include <array>

#include "protocol/base/limits.h"

namespace tributary {

Status LinkPolicy::Validate() const {
  for (const uint64_t cap : {up_bytes_per_second, down_bytes_per_second}) {
    if (cap == 0 || cap >= kLeastCap) continue;
    return Fail(Code::kInvalidArgument, "a cap of {} bytes per second; the least is {}, and 0 means none", cap,
                uint64_t{kLeastCap});
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
                  "\"{}\" is no kind of upload; there are update, evaluation, device_state and sample", name);
    }
    kinds.insert(*found);
  }
  return kinds;
}

Result<ScheduleZone> ParseScheduleZone(const std::string& name) {
  if (name == "utc") return ScheduleZone::kUtc;
  if (name == "local") return ScheduleZone::kLocal;
  return Fail(Code::kInvalidArgument, "\"{}\" is no zone of a schedule; there are utc and local", name);
}

std::vector<Field> LinkSettings::Fields() {
  static constexpr auto kZones = std::to_array<std::string_view>({"utc", "local"});
  return {
      {.name = "upstream.up_kib_per_second",
       .place = &up_kib_per_second,
       .help = "the most that uploads may take of the link; 0: no cap",
       .bounds = Between(0, 1e9),
       .unit = "KiB/s"},
      {.name = "upstream.down_kib_per_second",
       .place = &down_kib_per_second,
       .help = "the most that models may take of the link; 0: no cap",
       .bounds = Between(0, 1e9),
       .unit = "KiB/s"},
      {.name = "upstream.schedule",
       .place = &schedule,
       .help = "when uploads may go up: daily windows (\"22:00-06:00\") or cron lines (\"*/15 1-5 * * 1-5\"); none: "
               "always"},
      {.name = "upstream.schedule_zone",
       .place = &schedule_zone,
       .help = "the clock that the schedule is read by",
       .names = kZones},
      {.name = "upstream.urgent",
       .place = &urgent,
       .help = "kinds of upload that go up at any time: update, evaluation, device_state, sample"},
      {.name = "upstream.keep_session",
       .place = &keep_session,
       .help = "stay connected outside of the schedule, for publications"},
  };
}

LinkPolicy LinkSettings::MakePolicy(ConfigReader& reader) const {
  LinkPolicy policy;
  policy.up_bytes_per_second = up_kib_per_second * limits::kKiB;
  policy.down_bytes_per_second = down_kib_per_second * limits::kKiB;
  policy.keep_session_when_closed = keep_session;
  const auto keep = [&](std::string_view key, auto made, auto& place) {
    if (made) {
      place = std::move(*made);
    } else {
      reader.Reject(key, made.error().message);
    }
  };
  const ScheduleZone zone = ParseScheduleZone(schedule_zone).value_or(ScheduleZone::kUtc);
  keep("upstream.schedule", UploadSchedule::Parse(schedule, zone), policy.schedule);
  keep("upstream.urgent", ParseKinds(urgent), policy.urgent_kinds);
  return policy;
}

}  // namespace tributary

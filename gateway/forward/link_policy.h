#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "gateway/forward/upload_schedule.h"
#include "protocol/base/process/config.h"
#include "protocol/base/result.h"
#include "protocol/envelope/envelope.h"

namespace tributary {

// What the owner of an uplink allows on it. Value type; the default allows everything.
struct LinkPolicy {
  // When uploads may be sent. A chunk that is on its way at the end of a window is finished.
  UploadSchedule schedule;
  // Kinds that are sent at any time. They obey the caps all the same.
  std::set<UploadKind> urgent_kinds;
  // Caps on the average of each direction, bytes per second: of chunks up, of pieces of blobs down. 0: no cap. The rest
  // (check-ins, offers, publications) is a few hundred bytes a minute, and is not held up.
  uint64_t up_bytes_per_second = 0;
  uint64_t down_bytes_per_second = 0;
  // Outside of the schedule the connection stays, for the publication and for people to see the gateway. false: it is
  // closed, unless an upload of an urgent kind waits.
  bool keep_session_when_closed = true;

  // kInvalidArgument: a cap that is not 0 and below kLeastCap, which would take more than four minutes for one chunk.
  Status Validate() const;
  bool MaySend(UploadKind kind, WallTime now) const { return urgent_kinds.contains(kind) || schedule.IsOpen(now); }

  static constexpr uint64_t kLeastCap = 1024;
};

// The keys of a link policy, in [upstream] of gateway.toml, as they are written.
struct LinkSettings {
  uint64_t up_kib_per_second = 0;
  uint64_t down_kib_per_second = 0;
  std::vector<std::string> schedule;
  std::string schedule_zone = "utc";
  std::vector<std::string> urgent;
  bool keep_session = true;

  std::vector<Field> Fields();
  // What is wrong becomes a problem of its key.
  LinkPolicy MakePolicy(ConfigReader& reader) const;
};

// "update", "evaluation", "device_state" (or "telemetry", its name in 0.1.0), "sample". kInvalidArgument names what is none of them.
Result<std::set<UploadKind>> ParseKinds(const std::vector<std::string>& names);
// "utc" or "local". kInvalidArgument.
Result<ScheduleZone> ParseScheduleZone(const std::string& name);

}  // namespace tributary

#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "gateway/forward/upload_schedule.h"
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

  bool MaySend(UploadKind kind, WallTime now) const { return urgent_kinds.contains(kind) || schedule.IsOpen(now); }
};

// "update", "evaluation", "device_state" (or "telemetry", its name in 0.1.0), "sample". kInvalidArgument names what is none of them.
Result<std::set<UploadKind>> ParseKinds(const std::vector<std::string>& names);

}  // namespace tributary

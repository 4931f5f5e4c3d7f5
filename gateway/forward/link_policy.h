#pragma once

#include <bitset>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/process/config.h"
#include "protocol/base/result.h"
#include "protocol/envelope/envelope.h"

namespace tributary {

// By which clock a schedule is read. kLocal follows the time zone of the process (TZ, /etc/localtime), summer time
// included.
enum class ScheduleZone { kUtc, kLocal };

// The minutes in which uploads may be sent. Value type. Reads the wall clock afresh every time it is asked and keeps
// nothing, so a clock that is set by hours in either direction has an effect for as long as it is wrong, and none
// later.
class UploadSchedule {
 public:
  // Always open.
  UploadSchedule() = default;
  // Open in every minute that one of `entries` names; with no entries, always. An entry is a daily window "22:00-06:00"
  // (to before the second time; it may pass midnight), or five cron fields "minute hour day month weekday" of numbers,
  // lists, ranges, * and steps ("*/15 1-5 * * 1-5"; weekday 0 and 7 are Sunday; where day and weekday are both given,
  // either suffices). kInvalidArgument names the entry and what is wrong with it.
  static Result<UploadSchedule> Parse(const std::vector<std::string>& entries, ScheduleZone zone);

  bool IsOpen(WallTime now) const;
  // When to ask again: at the next full minute, since that is the soonest that the answer can change. In (0, 60 s].
  static Millis UntilNextMinute(WallTime now);

 private:
  struct Window {
    int from = 0;  // minutes of the day
    int to = 0;
  };
  struct CronLine {
    std::bitset<60> minutes;
    std::bitset<24> hours;
    std::bitset<32> days;
    std::bitset<13> months;
    std::bitset<8> weekdays;
    bool any_day = false;
    bool any_weekday = false;
  };
  static Result<Window> ParseWindow(const std::string& entry);
  static Result<CronLine> ParseCronLine(const std::string& entry);

  ScheduleZone zone_ = ScheduleZone::kUtc;
  std::vector<Window> windows_;
  std::vector<CronLine> lines_;
};

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

// The keys of a link policy, in [upstream] of gateway.toml, as they are written.
struct LinkSettings {
  uint64_t up_kib_per_second = 0;
  uint64_t down_kib_per_second = 0;
  std::vector<std::string> schedule;
  std::string schedule_zone = "utc";
  std::vector<std::string> urgent;
  bool keep_session = true;

  std::vector<Field> Fields();
  // A bad value becomes a problem of its key.
  LinkPolicy MakePolicy(ConfigReader& reader) const;
};

// "update", "evaluation", "device_state" (or "telemetry", its name in 0.1.0), "sample". kInvalidArgument names the word
// that is none of them.
Result<std::set<UploadKind>> ParseKinds(const std::vector<std::string>& names);

}  // namespace tributary

#pragma once

#include <array>
#include <bitset>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"

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

}  // namespace tributary

#include "gateway/forward/link_policy.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>

#include "protocol/base/limits.h"

namespace tributary {
namespace {

constexpr int64_t kMinuteMillis = 60'000;

// A number in [low, high] that is the whole of `text`.
std::optional<int> NumberIn(std::string_view text, int low, int high) {
  const auto number = ToNumber(text);
  if (!number || std::cmp_less(*number, low) || std::cmp_greater(*number, high)) return std::nullopt;
  return static_cast<int>(*number);
}

// "HH:MM" as minutes of the day.
std::optional<int> TimeOfDay(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  const auto hours = NumberIn(text.substr(0, 2), 0, 23);
  const auto minutes = NumberIn(text.substr(3), 0, 59);
  if (!hours || !minutes) return std::nullopt;
  return *hours * 60 + *minutes;
}

// One element of a cron field's list: "*", "7", "1-5", each with "/step" or without.
template <size_t N>
bool AddElement(std::string_view element, int low, int high, std::bitset<N>& set) {
  int step = 1;
  const size_t slash = element.find('/');
  if (slash != std::string_view::npos) {
    const auto given = NumberIn(element.substr(slash + 1), 1, high);
    if (!given) return false;
    step = *given;
    element = element.substr(0, slash);
  }
  int from = low;
  int to = high;
  if (element != "*") {
    const size_t dash = element.find('-');
    const auto first = NumberIn(element.substr(0, dash), low, high);
    if (!first) return false;
    from = to = *first;
    if (dash != std::string_view::npos) {
      const auto last = NumberIn(element.substr(dash + 1), low, high);
      if (!last || *last < from) return false;
      to = *last;
    } else if (slash != std::string_view::npos) {
      to = high;
    }
  }
  for (int i = from; i <= to; i += step) set.set(static_cast<size_t>(i));
  return true;
}

template <size_t N>
Status ParseField(const std::string& field, const char* name, int low, int high, std::bitset<N>& set) {
  std::stringstream list(field);
  std::string element;
  bool fine = !field.empty() && field.back() != ',';
  while (fine && std::getline(list, element, ',')) fine = AddElement(element, low, high, set);
  if (fine) return {};
  return Fail(Code::kInvalidArgument, "{} \"{}\" is not made of numbers from {} to {}, ranges, lists, * and steps",
              name, field, low, high);
}

std::tm Broken(WallTime now, ScheduleZone zone) {
  const auto seconds = static_cast<time_t>(now.unix_seconds());
  std::tm parts{};
  zone == ScheduleZone::kUtc ? gmtime_r(&seconds, &parts) : localtime_r(&seconds, &parts);
  return parts;
}

}  // namespace

Result<UploadSchedule> UploadSchedule::Parse(const std::vector<std::string>& entries, ScheduleZone zone) {
  UploadSchedule schedule;
  schedule.zone_ = zone;
  for (const std::string& entry : entries) {
    if (entry.find(' ') == std::string::npos) {
      ASSIGN_OR_RETURN(const Window window, ParseWindow(entry));
      schedule.windows_.push_back(window);
    } else {
      ASSIGN_OR_RETURN(const CronLine line, ParseCronLine(entry));
      schedule.lines_.push_back(line);
    }
  }
  return schedule;
}

Result<UploadSchedule::Window> UploadSchedule::ParseWindow(const std::string& entry) {
  const std::string_view text = entry;
  const auto from = TimeOfDay(text.substr(0, 5));
  const auto to = text.size() == 11 && text[5] == '-' ? TimeOfDay(text.substr(6)) : std::nullopt;
  if (from && to && *from != *to) return Window{*from, *to};
  return Fail(Code::kInvalidArgument,
              "\"{}\" is neither a daily window like 22:00-06:00, of two different times, nor five cron fields like "
              "\"*/15 1-5 * * *\"",
              entry);
}

Result<UploadSchedule::CronLine> UploadSchedule::ParseCronLine(const std::string& entry) {
  std::istringstream words(entry);
  std::vector<std::string> fields;
  for (std::string word; words >> word;) fields.push_back(word);
  if (fields.size() != 5) {
    return Fail(Code::kInvalidArgument, "\"{}\" has {} cron fields; there are five: minute hour day month weekday",
                entry, fields.size());
  }
  CronLine line;
  RETURN_IF_ERROR(ParseField(fields[0], "minute", 0, 59, line.minutes));
  RETURN_IF_ERROR(ParseField(fields[1], "hour", 0, 23, line.hours));
  RETURN_IF_ERROR(ParseField(fields[2], "day", 1, 31, line.days));
  RETURN_IF_ERROR(ParseField(fields[3], "month", 1, 12, line.months));
  RETURN_IF_ERROR(ParseField(fields[4], "weekday", 0, 7, line.weekdays));
  if (line.weekdays.test(7)) line.weekdays.set(0);
  line.any_day = fields[2] == "*";
  line.any_weekday = fields[4] == "*";
  return line;
}

bool UploadSchedule::IsOpen(WallTime now) const {
  if (windows_.empty() && lines_.empty()) return true;
  const std::tm parts = Broken(now, zone_);
  const int minute = parts.tm_hour * 60 + parts.tm_min;
  const auto in_window = [&](const Window& window) {
    const bool over_midnight = window.to < window.from;
    return over_midnight ? minute >= window.from || minute < window.to : minute >= window.from && minute < window.to;
  };
  const auto on_line = [&](const CronLine& line) {
    const bool day = line.days.test(static_cast<size_t>(parts.tm_mday));
    const bool weekday = line.weekdays.test(static_cast<size_t>(parts.tm_wday));
    const bool date = line.any_day || line.any_weekday ? day && weekday : day || weekday;
    return date && line.minutes.test(static_cast<size_t>(parts.tm_min)) &&
           line.hours.test(static_cast<size_t>(parts.tm_hour)) &&
           line.months.test(static_cast<size_t>(parts.tm_mon) + 1);
  };
  return std::ranges::any_of(windows_, in_window) || std::ranges::any_of(lines_, on_line);
}

Millis UploadSchedule::UntilNextMinute(WallTime now) {
  const int64_t into = ((now.unix_millis % kMinuteMillis) + kMinuteMillis) % kMinuteMillis;
  return Millis(kMinuteMillis - into);
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

std::vector<Field> LinkSettings::Fields() {
  static constexpr auto kZones = std::to_array<std::string_view>({"utc", "local"});
  return {
      {"upstream.up_kib_per_second", &up_kib_per_second, "the most that uploads may take of the link; 0: no cap",
       Between(0, 1e9), "KiB/s"},
      {"upstream.down_kib_per_second", &down_kib_per_second, "the most that models may take of the link; 0: no cap",
       Between(0, 1e9), "KiB/s"},
      {"upstream.schedule", &schedule,
       "when uploads may go up: daily windows (\"22:00-06:00\") or cron lines (\"*/15 1-5 * * 1-5\"); none: "
       "always"},
      OneOf("upstream.schedule_zone", &schedule_zone, "the clock that the schedule is read by", kZones),
      {"upstream.urgent", &urgent, "kinds of upload that go up at any time: update, evaluation, device_state, sample"},
      {"upstream.keep_session", &keep_session, "stay connected outside of the schedule, for publications"},
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
  const ScheduleZone zone = schedule_zone == "local" ? ScheduleZone::kLocal : ScheduleZone::kUtc;
  keep("upstream.schedule", UploadSchedule::Parse(schedule, zone), policy.schedule);
  keep("upstream.urgent", ParseKinds(urgent), policy.urgent_kinds);
  return policy;
}

}  // namespace tributary

#include "aggregator/api/json_time.h"

#include <cstdio>
#include <ctime>

namespace tributary {

std::string Rfc3339(WallTime time) {
  const int64_t millis = ((time.unix_millis % 1000) + 1000) % 1000;
  const time_t seconds = static_cast<time_t>((time.unix_millis - millis) / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char date[32];
  std::strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts);
  char text[48];
  std::snprintf(text, sizeof(text), "%s.%03dZ", date, static_cast<int>(millis));
  return text;
}

Result<WallTime> WallTimeOfRfc3339(const std::string& text) {
  std::tm parts{};
  int millis = 0;
  const int got = std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &parts.tm_year, &parts.tm_mon,
                              &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &millis);
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  const WallTime time{int64_t{timegm(&parts)} * 1000 + millis};
  // Written again it is the same, or it was not of the form.
  if (got != 7 || Rfc3339(time) != text) return Fail(Code::kMalformed, "'" + text + "' is not a time");
  return time;
}

}  // namespace tributary

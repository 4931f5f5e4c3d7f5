#include "protocol/trust/tuf/metadata_head.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>

#include "protocol/trust/tuf/json_members.h"

namespace tributary::tuf {
namespace {

// The version of the specification that this code follows.
constexpr std::string_view kSpecVersion = "1.0.31";
constexpr std::string_view kSupported = "1.0.";

// As YYYY-MM-DDTHH:MM:SSZ.
std::string DateText(WallTime time) {
  using namespace std::chrono;
  const sys_seconds at{floor<seconds>(milliseconds(time.unix_millis))};
  const auto day = floor<days>(at);
  const year_month_day date(day);
  const hh_mm_ss clock(at - day);
  char text[40];
  std::snprintf(text, sizeof(text), "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return text;
}

Result<WallTime> DateFromText(const std::string& text) {
  using namespace std::chrono;
  constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:ddZ";
  const auto fits = [](char c, char form) { return form == 'd' ? c >= '0' && c <= '9' : c == form; };
  const Error wrong = Malformed("expires is not a date as 2026-01-31T23:59:59Z");
  if (!std::ranges::equal(text, kForm, fits)) return Fail(wrong);
  const auto number = [&](size_t at, size_t digits) {
    int value = 0;
    std::from_chars(text.data() + at, text.data() + at + digits, value);
    return value;
  };
  const year_month_day date{year(number(0, 4)), month(static_cast<unsigned>(number(5, 2))),
                            day(static_cast<unsigned>(number(8, 2)))};
  if (!date.ok() || number(11, 2) > 23 || number(14, 2) > 59 || number(17, 2) > 59) return Fail(wrong);
  const auto at = sys_days(date) + hours(number(11, 2)) + minutes(number(14, 2)) + seconds(number(17, 2));
  return WallTime{duration_cast<milliseconds>(at.time_since_epoch()).count()};
}

Status CheckSpecVersion(const std::string& version) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const bool known = version.starts_with(kSupported) && version.size() > kSupported.size() &&
                     std::all_of(version.begin() + kSupported.size(), version.end(), digit);
  if (known) return {};
  return Fail(Code::kVersionUnsupported, "metadata of specification '" + version.substr(0, 40) + "' instead of 1.0.x");
}

}  // namespace

Json::Object HeadToJson(std::string_view type, uint64_t version, WallTime expires) {
  return {{"_type", std::string(type)},
          {"spec_version", std::string(kSpecVersion)},
          {"version", version},
          {"expires", DateText(expires)}};
}

Result<Head> HeadFromJson(const Json& from, std::string_view type) {
  ASSIGN_OR_RETURN(const std::string* found, Member<std::string>(from, "_type"));
  if (*found != type) return Fail(Malformed("it says it is '" + found->substr(0, 40) + "'"));
  ASSIGN_OR_RETURN(const std::string* spec_version, Member<std::string>(from, "spec_version"));
  RETURN_IF_ERROR(CheckSpecVersion(*spec_version));
  Head head;
  ASSIGN_OR_RETURN(head.version, Version(from));
  ASSIGN_OR_RETURN(const std::string* expires, Member<std::string>(from, "expires"));
  ASSIGN_OR_RETURN(head.expires, DateFromText(*expires));
  return head;
}

}  // namespace tributary::tuf

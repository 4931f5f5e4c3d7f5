#include "aggregator/api/json_fields.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

#include <nlohmann/json.hpp>

#include "aggregator/records/metric_total.h"
#include "protocol/base/json.h"
#include "protocol/base/limits.h"
#include "protocol/base/plain_text.h"
#include "protocol/catalogue/publication.h"

namespace tributary {

std::string Dump(const Json& json) { return json.dump(-1, ' ', true, Json::error_handler_t::replace); }

Result<Json> ParseBody(std::string_view body) {
  auto json = ParseOrderedJson(AsBytes(body));
  if (!json) return Fail(Code::kInvalidArgument, "the body cannot be taken: {}", json.error().message);
  return json;
}

std::string Rfc3339(WallTime time) {
  constexpr int64_t kYearZero = -62'167'219'200'000;
  const int64_t at = std::clamp<int64_t>(time.unix_millis, kYearZero, limits::kLatestUnixMillis);
  const int64_t millis = ((at % 1000) + 1000) % 1000;
  const time_t seconds = static_cast<time_t>((at - millis) / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char date[32];
  std::strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", date, millis);
}

Result<WallTime> WallTimeOfRfc3339(const std::string& text) {
  std::tm parts{};
  int millis = 0;
  const int got = std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &parts.tm_year, &parts.tm_mon,
                              &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &millis);
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  const WallTime time{int64_t{timegm(&parts)} * 1000 + millis};
  // A time of the right form is the same when it is written again.
  if (got != 7 || Rfc3339(time) != text) return Fail(Code::kMalformed, "'{}' is not a time", text);
  return time;
}

Json TimeOrNull(WallTime time) { return time.unix_millis == 0 ? Json() : Json(Rfc3339(time)); }
Json TextOrNull(const std::string& text) { return text.empty() ? Json() : Json(text); }
Json VersionOrNull(ModelVersion version) { return Number(version) == 0 ? Json() : Json(Number(version)); }

Json BlobToJson(const BlobRef& blob) { return {{"digest", blob.digest.hex()}, {"size", blob.size}}; }

Json MetricsToJson(const MetricViews& metrics) {
  return {{"global", metrics.global}, {"personal", metrics.personal}, {"local", metrics.local}};
}

Json CodeToJson(const CodeEntry& code) {
  return {{"code", code.name},
          {"number", static_cast<int>(code.code)},
          {"kind", CodeKindName(code.kind)},
          {"sentence", code.sentence},
          {"remedy", code.remedy},
          {"transient", code.transient}};
}

Json ByReason(const std::map<Code, uint64_t>& counts) {
  Json object = Json::object();
  for (const auto& [code, count] : counts) object[std::string(Name(code))] = count;
  return object;
}

Fields::Fields(const Json& object, std::string name) : object_(object), name_(std::move(name)) {
  if (!object_.is_object()) Keep(name_.empty() ? "the body" : name_, "must be an object");
}

const Json* Fields::Find(const std::string& key, bool required) {
  known_.insert(key);
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(key);
  if (found != object_.end()) return &*found;
  if (required) Keep(Full(key), "is missing");
  return nullptr;
}

void Fields::Text(const std::string& key, std::string& out, bool required) {
  const Json* value = Find(key, required);
  if (!value) return;
  if (!value->is_string()) return Keep(Full(key), "must be a string");
  if (!CheckPlainText(value->get_ref<const std::string&>(), key))
    return Keep(Full(key), "must be text that prints, on one line");
  out = value->get<std::string>();
}

void Fields::Reason(std::string& out) {
  constexpr size_t kReasonBytes = 256;
  Text("reason", out, true);
  if (out.empty() || out.size() > kReasonBytes) Keep("reason", fmt::format("must be of 1 to {} bytes", kReasonBytes));
}

void Fields::Flag(const std::string& key, bool& out) {
  const Json* value = Find(key);
  if (!value) return;
  if (!value->is_boolean()) return Keep(Full(key), "must be true or false");
  out = value->get<bool>();
}

std::optional<uint64_t> Fields::WholeOf(const std::string& key, uint64_t min, uint64_t max, bool required) {
  const Json* value = Find(key, required);
  if (!value) return std::nullopt;
  const bool fits = value->is_number_unsigned() && value->get<uint64_t>() >= min && value->get<uint64_t>() <= max;
  if (!fits) {
    Keep(Full(key), fmt::format("must be an integer between {} and {}", min, max));
    return std::nullopt;
  }
  return value->get<uint64_t>();
}

void Fields::Keep(const std::string& where, const std::string& why, Code code) {
  if (!problem_) problem_ = Error{code, where + " " + why};
}

void Fields::Take(const Status& inner) {
  if (!inner && !problem_) problem_ = inner.error();
}

Status Fields::Finish() {
  if (!problem_ && object_.is_object()) {
    for (const auto& [key, value] : object_.items()) {
      if (!known_.contains(key)) Keep(Full(key), "is not a field that is known here");
    }
  }
  if (problem_) return Fail(*problem_);
  return {};
}

}  // namespace tributary

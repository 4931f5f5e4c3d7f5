#pragma once

#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"

// JSON of the API. Requests are read with Fields; answers are written by a ToJson for each record, which lies with the
// routes of its resource. A .cc that touches a Json includes <nlohmann/json.hpp> itself.
namespace tributary {

struct BlobRef;
struct MetricViews;

using Json = nlohmann::ordered_json;

// The text of an answer. Quoted texts came from outside: bytes that are not UTF-8 are replaced, and what is not ASCII
// is escaped, so that no terminal obeys an answer that is shown as it is.
std::string Dump(const Json& json);
// kInvalidArgument: not JSON.
Result<Json> ParseBody(std::string_view body);

// ---- values that several records have; a value that is not known yet is null

// RFC 3339 in UTC with milliseconds: "2026-11-22T10:58:18.123Z".
std::string Rfc3339(WallTime time);
// kMalformed: not of exactly this form.
Result<WallTime> WallTimeOfRfc3339(const std::string& text);
Json TimeOrNull(WallTime time);
Json TextOrNull(const std::string& text);
Json VersionOrNull(ModelVersion version);
Json BlobToJson(const BlobRef& blob);
// {"global": {"loss": 0.5}, "personal": {}, "local": {}}.
Json MetricsToJson(const MetricViews& metrics);
Json CodeToJson(const CodeEntry& code);
// An object from the codes' names to their counts.
Json ByReason(const std::map<Code, uint64_t>& counts);

// {"items": […]} with the JSON of each record, in the order they have.
template <class Records, class One>
auto ListToJson(const Records& records, One one) -> decltype(one(*std::begin(records))) {
  auto items = decltype(one(*std::begin(records)))::array();
  for (const auto& record : records) items.push_back(one(record));
  return {{"items", std::move(items)}};
}
// The first `limit` of them, at least one. "next_cursor" is the cursor of the last one if there are more, else null.
template <class Record, class One, class Cursor>
auto PageToJson(std::vector<Record> records, size_t limit, One one, Cursor cursor) {
  const bool cut = records.size() > limit;
  if (cut) records.resize(limit);
  auto page = ListToJson(records, one);
  page["next_cursor"] = cut ? decltype(page)(cursor(records.back())) : decltype(page)();
  return page;
}

// One object of a request. Ask for every key once, then call Finish, which returns the first problem that was met; a
// key that nobody asked for is a problem too. The object must outlive it.
class Fields {
 public:
  // `name`: how errors name the object; empty for the body itself.
  explicit Fields(const Json& object, std::string name = "");

  // nullptr when the key is not there.
  const Json* Find(const std::string& key, bool required = false);
  void Text(const std::string& key, std::string& out, bool required = false);
  // The required "reason" of a change, for the record: 1 to 256 bytes.
  void Reason(std::string& out);
  void Flag(const std::string& key, bool& out);
  // Bounds are inclusive.
  template <class Integer>
  void Whole(const std::string& key, Integer& out, uint64_t min, uint64_t max, bool required = false) {
    if (const auto value = WholeOf(key, min, max, required)) out = static_cast<Integer>(*value);
  }
  template <class Value>
  void Parsed(const std::string& key, Value& out, Result<Value> (*parse)(std::string_view), bool required = false) {
    std::string text;
    if (!Find(key, required)) return;
    Text(key, text);
    const auto value = parse(text);
    if (!value) return Keep(Full(key), value.error().message);
    out = *value;
  }

  // Keeps the problem "`where` `why`" unless there is one already.
  void Keep(const std::string& where, const std::string& why, Code code = Code::kInvalidArgument);
  std::string Full(const std::string& key) const { return name_.empty() ? key : name_ + "." + key; }
  // Takes over the first problem of an inner object.
  void Take(const Status& inner);
  Status Finish();

 private:
  std::optional<uint64_t> WholeOf(const std::string& key, uint64_t min, uint64_t max, bool required);

  const Json& object_;
  std::string name_;
  std::set<std::string> known_;
  std::optional<Error> problem_;
};

}  // namespace tributary

#include "aggregator/api/json_audit.h"

#include <nlohmann/json.hpp>

#include "aggregator/api/json_time.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

using Json = nlohmann::json;  // keeps its keys sorted

std::string Canonical(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// What is not JSON would be our own mistake, and must not keep a change from being recorded.
Json Value(const std::string& text) {
  if (text.size() > kAuditValueBytes) return {{"bytes", text.size()}, {"sha256", Sha256(AsBytes(text)).hex()}};
  Json json = Json::parse(text, nullptr, false);
  return json.is_discarded() ? Json(text) : json;
}

Json ObjectOf(const AuditEntry& entry) {
  return {{"sequence", entry.sequence},
          {"time", Rfc3339(entry.time)},
          {"actor", entry.actor},
          {"action", entry.action},
          {"target", entry.target},
          {"before", Value(entry.before)},
          {"after", Value(entry.after)},
          {"outcome", entry.outcome},
          {"begun", entry.begun == 0 ? Json() : Json(entry.begun)},
          {"previous", entry.previous.hex()}};
}

std::string TextOf(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}
uint64_t NumberOf(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}
std::string ValueOf(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? "null" : Canonical(*found);
}

}  // namespace

std::string SealAuditEntry(AuditEntry& entry) {
  Json object = ObjectOf(entry);
  entry.hash = Sha256(AsBytes(Canonical(object)));
  object["hash"] = entry.hash.hex();
  return Canonical(object);
}

Result<AuditEntry> AuditEntryFromLine(std::string_view line) {
  Json object = Json::parse(line, nullptr, false);
  if (!object.is_object() || Canonical(object) != line)
    return Fail(Code::kCorrupt, "is not an entry as it was written");
  AuditEntry entry;
  const auto hash = Digest::FromHex(TextOf(object, "hash"));
  const auto previous = Digest::FromHex(TextOf(object, "previous"));
  const auto time = WallTimeOfRfc3339(TextOf(object, "time"));
  if (!hash || !previous || !time) return Fail(Code::kCorrupt, "has no hash, previous hash or time");
  object.erase("hash");
  if (Sha256(AsBytes(Canonical(object))) != *hash) return Fail(Code::kCorrupt, "was altered: its hash is another");
  entry.sequence = NumberOf(object, "sequence");
  entry.time = *time;
  entry.actor = TextOf(object, "actor");
  entry.action = TextOf(object, "action");
  entry.target = TextOf(object, "target");
  entry.before = ValueOf(object, "before");
  entry.after = ValueOf(object, "after");
  entry.outcome = TextOf(object, "outcome");
  entry.begun = NumberOf(object, "begun");
  entry.previous = *previous;
  entry.hash = *hash;
  return entry;
}

std::string ToJson(const AuditPage& page) {
  Json items = Json::array();
  for (const AuditEntry& entry : page.entries) {
    items.push_back(ObjectOf(entry));
    items.back()["hash"] = entry.hash.hex();
  }
  return Canonical({{"items", std::move(items)},
                    {"next", page.next ? Json(*page.next) : Json()},
                    {"head", {{"sequence", page.head_sequence}, {"hash", page.head.hex()}}},
                    {"damage", page.damage ? Json(page.damage->message) : Json()}});
}

Result<std::string> AuditLineOfJson(std::string_view object) {
  const Json json = Json::parse(object, nullptr, false);
  if (!json.is_object()) return Fail(Code::kMalformed, "not an entry of the audit log");
  return Canonical(json);
}

}  // namespace tributary

#include "aggregator/api/audit_entry.h"

#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

using SortedJson = nlohmann::json;

std::string Canonical(const SortedJson& json) {
  return json.dump(-1, ' ', false, SortedJson::error_handler_t::replace);
}

// A text that is not JSON would be our own mistake; even so the change must be recorded.
SortedJson AuditValueOf(const std::string& text) {
  if (text.size() > kAuditValueBytes) return {{"bytes", text.size()}, {"sha256", Sha256(AsBytes(text)).hex()}};
  SortedJson json = SortedJson::parse(text, nullptr, false);
  return json.is_discarded() ? SortedJson(text) : json;
}

SortedJson AuditObject(const AuditEntry& entry) {
  return {{"sequence", entry.sequence},
          {"time", Rfc3339(entry.time)},
          {"actor", entry.actor},
          {"action", entry.action},
          {"target", entry.target},
          {"before", AuditValueOf(entry.before)},
          {"after", AuditValueOf(entry.after)},
          {"outcome", entry.outcome},
          {"begun", entry.begun == 0 ? SortedJson() : SortedJson(entry.begun)},
          {"previous", entry.previous.hex()}};
}

std::string TextAt(const SortedJson& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}
uint64_t NumberAt(const SortedJson& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}
std::string JsonTextAt(const SortedJson& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? "null" : Canonical(*found);
}

}  // namespace

std::string SealAuditEntry(AuditEntry& entry) {
  SortedJson object = AuditObject(entry);
  entry.hash = Sha256(AsBytes(Canonical(object)));
  object["hash"] = entry.hash.hex();
  return Canonical(object);
}

Result<AuditEntry> AuditEntryFromLine(std::string_view line) {
  SortedJson object = SortedJson::parse(line, nullptr, false);
  if (!object.is_object() || Canonical(object) != line)
    return Fail(Code::kCorrupt, "is not an entry as it was written");
  AuditEntry entry;
  const auto hash = Digest::FromHex(TextAt(object, "hash"));
  const auto previous = Digest::FromHex(TextAt(object, "previous"));
  const auto time = WallTimeOfRfc3339(TextAt(object, "time"));
  if (!hash || !previous || !time) return Fail(Code::kCorrupt, "has no hash, previous hash or time");
  object.erase("hash");
  if (Sha256(AsBytes(Canonical(object))) != *hash) return Fail(Code::kCorrupt, "was altered: its hash is another");
  entry.sequence = NumberAt(object, "sequence");
  entry.time = *time;
  entry.actor = TextAt(object, "actor");
  entry.action = TextAt(object, "action");
  entry.target = TextAt(object, "target");
  entry.before = JsonTextAt(object, "before");
  entry.after = JsonTextAt(object, "after");
  entry.outcome = TextAt(object, "outcome");
  entry.begun = NumberAt(object, "begun");
  entry.previous = *previous;
  entry.hash = *hash;
  return entry;
}

std::string ToJson(const AuditPage& page) {
  SortedJson items = SortedJson::array();
  for (const AuditEntry& entry : page.entries) {
    items.push_back(AuditObject(entry));
    items.back()["hash"] = entry.hash.hex();
  }
  return Canonical({{"items", std::move(items)},
                    {"next", page.next ? SortedJson(*page.next) : SortedJson()},
                    {"head", {{"sequence", page.head_sequence}, {"hash", page.head.hex()}}},
                    {"damage", page.damage ? SortedJson(page.damage->message) : SortedJson()}});
}

Result<std::string> AuditLineOfJson(std::string_view object) {
  const SortedJson json = SortedJson::parse(object, nullptr, false);
  if (!json.is_object()) return Fail(Code::kMalformed, "not an entry of the audit log");
  return Canonical(json);
}

}  // namespace tributary

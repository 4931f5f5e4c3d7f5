#include "aggregator/enrol/sealing_index.h"

#include <nlohmann/json.hpp>

namespace tributary {
namespace {

using nlohmann::json;

Result<int64_t> Time(const json& entry, const char* field) {
  const auto found = entry.find(field);
  if (found == entry.end() || !found->is_number_integer()) {
    return Fail(Code::kCorrupt, std::string("a key's field '") + field + "' is missing");
  }
  return found->get<int64_t>();
}

Result<SealingIndexEntry> Read(const json& entry) {
  if (!entry.is_object() || !entry.contains("id") || !entry["id"].is_string()) {
    return Fail(Code::kCorrupt, "a key has no id");
  }
  SealingIndexEntry read;
  auto id = KeyId::FromHex(entry["id"].get<std::string>());
  if (!id) return Fail(Code::kCorrupt, id.error().message);
  read.id = *id;
  ASSIGN_OR_RETURN(read.made.unix_millis, Time(entry, "made"));
  if (entry.contains("until")) {
    ASSIGN_OR_RETURN(read.until.unix_millis, Time(entry, "until"));
  }
  return read;
}

}  // namespace

Bytes EncodeSealingIndex(const std::vector<SealingIndexEntry>& entries) {
  json keys = json::array();
  for (const SealingIndexEntry& entry : entries) {
    json key = {{"id", entry.id.hex()}, {"made", entry.made.unix_millis}};
    if (entry.until != WallTime{}) key["until"] = entry.until.unix_millis;
    keys.push_back(std::move(key));
  }
  return ToBytes(AsBytes(json{{"keys", std::move(keys)}}.dump(2) + "\n"));
}

Result<std::vector<SealingIndexEntry>> DecodeSealingIndex(ByteView bytes) {
  const json object = json::parse(bytes.begin(), bytes.end(), nullptr, false);
  if (!object.is_object() || !object.contains("keys") || !object["keys"].is_array()) {
    return Fail(Code::kCorrupt, "not an index of sealing keys");
  }
  std::vector<SealingIndexEntry> entries;
  for (const json& entry : object["keys"]) {
    ASSIGN_OR_RETURN(const SealingIndexEntry read, Read(entry));
    entries.push_back(read);
  }
  for (size_t i = 0; i < entries.size(); ++i) {
    const bool current = entries[i].until == WallTime{};
    if (current != (i + 1 == entries.size())) return Fail(Code::kCorrupt, "the last key, and only it, has no end");
  }
  if (entries.empty()) return Fail(Code::kCorrupt, "the index names no key");
  return entries;
}

}  // namespace tributary

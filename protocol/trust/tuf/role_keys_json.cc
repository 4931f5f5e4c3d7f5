#include "protocol/trust/tuf/role_keys_json.h"

#include <algorithm>

#include "protocol/trust/tuf/json_members.h"
#include "protocol/trust/seal/digest.h"

namespace tributary::tuf {

Json ToJson(const Key& key) {
  if (auto whole = ParseJson(AsBytes(key.whole_text))) return std::move(*whole);
  return Json::Object{
      {"keytype", key.type}, {"keyval", Json::Object{{"public", key.public_text}}}, {"scheme", key.scheme}};
}

Json::Object RoleToJson(const RoleKeys& role) {
  return {{"keyids", ToArray(role.key_ids)}, {"threshold", static_cast<int64_t>(role.threshold)}};
}

Result<RoleKeys> RoleFromJson(const Json& from) {
  RoleKeys to;
  ASSIGN_OR_RETURN(to.key_ids, Texts(from, "keyids"));
  ASSIGN_OR_RETURN(const uint64_t threshold, Count(from, "threshold"));
  if (threshold == 0 || threshold > limits::kMetadataSignatures) {
    return Fail(Malformed("a threshold of " + std::to_string(threshold) + " signatures"));
  }
  to.threshold = static_cast<uint32_t>(threshold);
  auto sorted = to.key_ids;
  std::ranges::sort(sorted);
  if (std::ranges::adjacent_find(sorted) != sorted.end()) return Fail(Malformed("a role lists a key twice"));
  return to;
}

Json::Object KeysToJson(const Keys& keys) {
  Json::Object to;
  for (const auto& [id, key] : keys) to.emplace(id, ToJson(key));
  return to;
}

Result<Keys> KeysFromJson(const Json& from) {
  ASSIGN_OR_RETURN(const Json::Object* objects, Member<Json::Object>(from, "keys"));
  Keys keys;
  for (const auto& [id, object] : *objects) {
    Key key;
    ASSIGN_OR_RETURN(key.type, Text(object, "keytype"));
    ASSIGN_OR_RETURN(key.scheme, Text(object, "scheme"));
    ASSIGN_OR_RETURN(const Json::Object* values, Member<Json::Object>(object, "keyval"));
    ASSIGN_OR_RETURN(key.public_text, Text(Json(*values), "public"));
    std::string text = CanonicalText(object);
    if (Sha256(AsBytes(text)).hex() != id) return Fail(Malformed("a key is not the one its id names"));
    if (text != CanonicalText(ToJson(key))) key.whole_text = std::move(text);
    keys.emplace(id, std::move(key));
  }
  return keys;
}

}  // namespace tributary::tuf

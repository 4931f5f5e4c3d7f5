#pragma once

#include "protocol/trust/tuf/canonical_json.h"
#include "protocol/trust/tuf/metadata.h"

// Keys and who may sign by them, as JSON and back: the same in root and in delegations. For the .cc files of this
// folder. kMalformed.
namespace tributary::tuf {

Json ToJson(const Key& key);
Json::Object KeysToJson(const Keys& keys);
// The member "keys". Each is checked against its id.
Result<Keys> KeysFromJson(const Json& from);

Json::Object RoleToJson(const RoleKeys& role);
Result<RoleKeys> RoleFromJson(const Json& from);

}  // namespace tributary::tuf

#include "protocol/trust/tuf/metadata.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "protocol/base/json.h"
#include "protocol/trust/seal/digest.h"
#include "protocol/trust/tuf/canonical_json.h"

namespace tributary::tuf {
namespace {

// First the values of roles.h as JSON and back. Reading checks the form of every field and passes over those it does not
// know; `to` is empty. kMalformed names the field; kVersionUnsupported: a spec_version other than 1.0.x.

using nlohmann::json;

// The version of the specification that this code follows.
constexpr const char* kSpecVersion = "1.0.31";
constexpr std::string_view kSupported = "1.0.";
constexpr const char* kPaths = "paths";
constexpr const char* kHashPrefixes = "path_hash_prefixes";

template <class... Parts>
auto Malformed(fmt::format_string<Parts...> text, Parts&&... parts) {
  return Fail(Code::kMalformed, fmt::format(text, std::forward<Parts>(parts)...));
}

// ---- members that must be there and of their kind

Result<const json*> Member(const json& from, const char* name, bool (json::*is_right)() const noexcept) {
  const auto found = from.find(name);
  if (found == from.end() || !((*found).*is_right)()) return Malformed("{} is missing or of the wrong kind", name);
  return &*found;
}

Result<std::string> Text(const json& from, const char* name) {
  ASSIGN_OR_RETURN(const json* text, Member(from, name, &json::is_string));
  return text->get<std::string>();
}

Result<std::vector<std::string>> Texts(const json& from, const char* name) {
  ASSIGN_OR_RETURN(const json* array, Member(from, name, &json::is_array));
  if (!std::ranges::all_of(*array, &json::is_string)) return Malformed("{} holds something other than text", name);
  return array->get<std::vector<std::string>>();
}

Result<bool> Flag(const json& from, const char* name) {
  ASSIGN_OR_RETURN(const json* flag, Member(from, name, &json::is_boolean));
  return flag->get<bool>();
}

Result<uint64_t> Count(const json& from, const char* name) {
  ASSIGN_OR_RETURN(const json* number, Member(from, name, &json::is_number_integer));
  if (number->get<int64_t>() < 0) return Malformed("{} is negative", name);
  return number->get<uint64_t>();
}

Result<uint64_t> Version(const json& from) {
  ASSIGN_OR_RETURN(const uint64_t version, Count(from, "version"));
  if (version == 0) return Malformed("versions begin with 1");
  return version;
}

// ---- the head of every role

std::string DateText(WallTime time) {
  using namespace std::chrono;
  const std::time_t at = floor<seconds>(milliseconds(time.unix_millis)).count();
  std::tm utc{};
  gmtime_r(&at, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec);
}

// Only the text that DateText writes is a date.
Result<WallTime> DateFromText(const std::string& text) {
  constexpr size_t kDateLength = 20;
  std::tm utc{};
  const bool read = text.size() == kDateLength && strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &utc) != nullptr;
  const WallTime time{int64_t{timegm(&utc)} * 1000};
  if (!read || DateText(time) != text) return Malformed("expires is not a date as 2026-01-31T23:59:59Z");
  return time;
}

Status CheckSpecVersion(const std::string& version) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const bool known = version.starts_with(kSupported) && version.size() > kSupported.size() &&
                     std::all_of(version.begin() + kSupported.size(), version.end(), digit);
  if (known) return {};
  return Fail(Code::kVersionUnsupported, "metadata of specification '{}' instead of 1.0.x", version.substr(0, 40));
}

template <class Body>
json HeadOf(const Body& body) {
  return {{"_type", Body::kType},
          {"spec_version", kSpecVersion},
          {"version", body.version},
          {"expires", DateText(body.expires)}};
}

template <class Body>
Status ReadHead(const json& from, Body& to) {
  ASSIGN_OR_RETURN(const std::string type, Text(from, "_type"));
  if (type != Body::kType) return Malformed("it says it is '{}'", type.substr(0, 40));
  ASSIGN_OR_RETURN(const std::string spec_version, Text(from, "spec_version"));
  RETURN_IF_ERROR(CheckSpecVersion(spec_version));
  ASSIGN_OR_RETURN(to.version, Version(from));
  ASSIGN_OR_RETURN(const std::string expires, Text(from, "expires"));
  ASSIGN_OR_RETURN(to.expires, DateFromText(expires));
  return {};
}

// ---- the parts of roles

json PartToJson(const Key& key) {
  if (auto whole = ParseJson(AsBytes(key.whole_text), JsonForm::kMetadata)) return std::move(*whole);
  return {{"keytype", key.type}, {"keyval", json::object({{"public", key.public_text}})}, {"scheme", key.scheme}};
}

Status ReadPart(const json& from, Key& to) {
  ASSIGN_OR_RETURN(to.type, Text(from, "keytype"));
  ASSIGN_OR_RETURN(to.scheme, Text(from, "scheme"));
  ASSIGN_OR_RETURN(const json* values, Member(from, "keyval", &json::is_object));
  ASSIGN_OR_RETURN(to.public_text, Text(*values, "public"));
  std::string text = CanonicalText(from);
  if (text != CanonicalText(PartToJson(to))) to.whole_text = std::move(text);
  return {};
}

json PartToJson(const RoleKeys& role) { return {{"keyids", role.key_ids}, {"threshold", role.threshold}}; }

Status ReadPart(const json& from, RoleKeys& to) {
  ASSIGN_OR_RETURN(to.key_ids, Texts(from, "keyids"));
  ASSIGN_OR_RETURN(const uint64_t threshold, Count(from, "threshold"));
  if (threshold == 0 || threshold > limits::kMetadataSignatures) {
    return Malformed("a threshold of {} signatures", threshold);
  }
  to.threshold = static_cast<uint32_t>(threshold);
  if (std::set(to.key_ids.begin(), to.key_ids.end()).size() < to.key_ids.size()) {
    return Malformed("a role lists a key twice");
  }
  return {};
}

json HashesOf(const Digest& sha256) { return json::object({{"sha256", sha256.hex()}}); }

// Of several hashes only SHA-256 is read.
Result<Digest> HashIn(const json& from) {
  ASSIGN_OR_RETURN(const json* hashes, Member(from, "hashes", &json::is_object));
  ASSIGN_OR_RETURN(const std::string hex, Text(*hashes, "sha256"));
  return Digest::FromHex(hex);
}

json PartToJson(const FileMeta& file) {
  json to = json::object({{"version", file.version}});
  if (file.length) to["length"] = *file.length;
  if (file.sha256) to["hashes"] = HashesOf(*file.sha256);
  return to;
}

Status ReadPart(const json& from, FileMeta& to) {
  ASSIGN_OR_RETURN(to.version, Version(from));
  if (from.contains("length")) {
    ASSIGN_OR_RETURN(to.length, Count(from, "length"));
  }
  if (from.contains("hashes")) {
    ASSIGN_OR_RETURN(to.sha256, HashIn(from));
  }
  return {};
}

json PartToJson(const TargetFile& file) { return {{"length", file.length}, {"hashes", HashesOf(file.sha256)}}; }

Status ReadPart(const json& from, TargetFile& to) {
  ASSIGN_OR_RETURN(to.length, Count(from, "length"));
  ASSIGN_OR_RETURN(to.sha256, HashIn(from));
  return {};
}

template <class Part>
json PartsToJson(const std::map<std::string, Part>& parts) {
  json to = json::object();
  for (const auto& [name, part] : parts) to[name] = PartToJson(part);
  return to;
}

template <class Part>
Status ReadParts(const json& from, const char* member, std::map<std::string, Part>& to) {
  ASSIGN_OR_RETURN(const json* parts, Member(from, member, &json::is_object));
  for (const auto& [name, part] : parts->items()) RETURN_IF_ERROR(ReadPart(part, to[name]));
  return {};
}

// Checks each key against its id.
Status ReadKeys(const json& from, Keys& to) {
  RETURN_IF_ERROR(ReadParts(from, "keys", to));
  for (const auto& [id, key] : from.at("keys").items()) {
    if (Sha256(AsBytes(CanonicalText(key))).hex() != id) return Malformed("a key is not the one its id names");
  }
  return {};
}

json DelegationToJson(const Delegation& delegation) {
  json to = PartToJson(delegation.role);
  to["name"] = delegation.name;
  to["terminating"] = delegation.terminating;
  if (const auto* hashes = std::get_if<PathHashPrefixes>(&delegation.paths)) {
    to[kHashPrefixes] = hashes->prefixes;
  } else {
    to[kPaths] = std::get<PathPatterns>(delegation.paths).patterns;
  }
  return to;
}

Status ReadPaths(const json& from, DelegatedPaths& to) {
  const bool patterns = from.contains(kPaths);
  if (patterns == from.contains(kHashPrefixes)) {
    return Malformed("a delegation has {} of paths and path_hash_prefixes; it needs one of them",
                     patterns ? "both" : "neither");
  }
  ASSIGN_OR_RETURN(auto texts, Texts(from, patterns ? kPaths : kHashPrefixes));
  if (patterns) {
    to = PathPatterns{std::move(texts)};
  } else {
    to = PathHashPrefixes{std::move(texts)};
  }
  return CheckPaths(to);
}

Status ReadDelegation(const json& from, Delegation& to) {
  ASSIGN_OR_RETURN(to.name, Text(from, "name"));
  RETURN_IF_ERROR(CheckName(to.name, "the name of a delegated role"));
  for (const std::string_view taken : {kRootRole, kTimestampRole, kSnapshotRole, kTargetsRole}) {
    if (to.name == taken) return Malformed("a delegated role is called {}", to.name);
  }
  RETURN_IF_ERROR(ReadPart(from, to.role));
  RETURN_IF_ERROR(ReadPaths(from, to.paths));
  ASSIGN_OR_RETURN(to.terminating, Flag(from, "terminating"));
  return {};
}

Status ReadDelegations(const json& from, Targets& to) {
  RETURN_IF_ERROR(ReadKeys(from, to.keys));
  ASSIGN_OR_RETURN(const json* roles, Member(from, "roles", &json::is_array));
  std::set<std::string> names;
  for (const json& role : *roles) {
    Delegation& delegation = to.delegations.emplace_back();
    RETURN_IF_ERROR(ReadDelegation(role, delegation));
    if (!names.insert(delegation.name).second) return Malformed("it delegates to {} twice", delegation.name);
  }
  return {};
}

// ---- roles

json ToJson(const Root& root) {
  json to = HeadOf(root);
  to["consistent_snapshot"] = root.consistent_snapshot;
  to["keys"] = PartsToJson(root.keys);
  to["roles"] = PartsToJson(root.roles);
  return to;
}

Status FromJson(const json& from, Root& to) {
  RETURN_IF_ERROR(ReadHead(from, to));
  to.consistent_snapshot = false;  // section 4.3: optional, for old repositories
  if (from.contains("consistent_snapshot")) {
    ASSIGN_OR_RETURN(to.consistent_snapshot, Flag(from, "consistent_snapshot"));
  }
  RETURN_IF_ERROR(ReadKeys(from, to.keys));
  ASSIGN_OR_RETURN(const json* roles, Member(from, "roles", &json::is_object));
  for (const std::string_view name : {kRootRole, kTimestampRole, kSnapshotRole, kTargetsRole}) {
    const auto role = roles->find(name);
    if (role == roles->end()) return Malformed("there is no role {}", name);
    RETURN_IF_ERROR(ReadPart(*role, to.roles[role.key()]));
  }
  return {};
}

json ToJson(const Timestamp& timestamp) {
  json to = HeadOf(timestamp);
  to["meta"]["snapshot.json"] = PartToJson(timestamp.snapshot);
  return to;
}

Status FromJson(const json& from, Timestamp& to) {
  RETURN_IF_ERROR(ReadHead(from, to));
  std::map<std::string, FileMeta> files;
  RETURN_IF_ERROR(ReadParts(from, "meta", files));
  if (files.size() != 1 || !files.contains("snapshot.json")) return Malformed("it names other than snapshot.json");
  to.snapshot = files.begin()->second;
  return {};
}

json ToJson(const Snapshot& snapshot) {
  json to = HeadOf(snapshot);
  to["meta"] = PartsToJson(snapshot.files);
  return to;
}

Status FromJson(const json& from, Snapshot& to) {
  RETURN_IF_ERROR(ReadHead(from, to));
  return ReadParts(from, "meta", to.files);
}

json ToJson(const Targets& targets) {
  json to = HeadOf(targets);
  to["targets"] = PartsToJson(targets.files);
  if (targets.delegations.empty()) return to;
  json roles = json::array();
  for (const Delegation& delegation : targets.delegations) roles.push_back(DelegationToJson(delegation));
  to["delegations"] = {{"keys", PartsToJson(targets.keys)}, {"roles", std::move(roles)}};
  return to;
}

Status FromJson(const json& from, Targets& to) {
  RETURN_IF_ERROR(ReadHead(from, to));
  RETURN_IF_ERROR(ReadParts(from, "targets", to.files));
  const auto delegations = from.find("delegations");
  return delegations == from.end() ? Status() : ReadDelegations(*delegations, to);
}

json ToJson(const std::vector<Signature>& signatures) {
  json to = json::array();
  for (const Signature& signature : signatures) to.push_back({{"keyid", signature.key_id}, {"sig", signature.hex}});
  return to;
}

Status FromJson(const json& file, std::vector<Signature>& to) {
  ASSIGN_OR_RETURN(const json* array, Member(file, "signatures", &json::is_array));
  if (array->size() > limits::kMetadataSignatures) {
    return Fail(Code::kTooLarge, "{} signatures are over the limit", array->size());
  }
  std::set<std::string> ids;
  for (const json& one : *array) {
    Signature& signature = to.emplace_back();
    ASSIGN_OR_RETURN(signature.key_id, Text(one, "keyid"));
    ASSIGN_OR_RETURN(signature.hex, Text(one, "sig"));
    if (!ids.insert(signature.key_id).second) return Malformed("a key has signed twice");
  }
  return {};
}

}  // namespace

std::string KeyIdOf(const Key& key) { return Sha256(AsBytes(CanonicalText(PartToJson(key)))).hex(); }

std::string AddKey(ByteView public_key, Keys& keys, RoleKeys& role) {
  Key key = Key::FromPublicKey(public_key);
  std::string id = KeyIdOf(key);
  keys.insert_or_assign(id, std::move(key));
  if (std::ranges::find(role.key_ids, id) == role.key_ids.end()) role.key_ids.push_back(id);
  return id;
}

template <class Body>
Metadata<Body> MakeMetadata(Body body) {
  std::string text = CanonicalText(ToJson(body));
  return {std::move(body), std::move(text), {}};
}

template <class Body>
Result<Metadata<Body>> ParseMetadata(ByteView file) {
  if (file.size() > Body::kMostBytes) {
    return Fail(Code::kTooLarge, "{} metadata of {} bytes is over the limit of {}", Body::kType, file.size(),
                Body::kMostBytes);
  }
  ASSIGN_OR_RETURN(const json object, ParseJson(file, JsonForm::kMetadata));
  const auto body = object.find("signed");
  if (body == object.end()) return Fail(Code::kMalformed, "{} metadata has nothing signed", Body::kType);
  Metadata<Body> metadata;
  if (Status read = FromJson(*body, metadata.body); !read) {
    return Fail(read.error().code, "{} metadata: {}", Body::kType, read.error().message);
  }
  metadata.signed_text = CanonicalText(*body);
  RETURN_IF_ERROR(FromJson(object, metadata.signatures));
  return metadata;
}

template <class Body>
Bytes EncodeMetadata(const Metadata<Body>& metadata) {
  Bytes file = ToBytes(AsBytes(R"({"signatures":)" + CanonicalText(ToJson(metadata.signatures))));
  Append(file, AsBytes(std::string_view(R"(,"signed":)")));
  Append(file, AsBytes(metadata.signed_text));
  file.push_back('}');
  return file;
}

template Metadata<Root> MakeMetadata(Root);
template Metadata<Timestamp> MakeMetadata(Timestamp);
template Metadata<Snapshot> MakeMetadata(Snapshot);
template Metadata<Targets> MakeMetadata(Targets);
template Result<Metadata<Root>> ParseMetadata(ByteView);
template Result<Metadata<Timestamp>> ParseMetadata(ByteView);
template Result<Metadata<Snapshot>> ParseMetadata(ByteView);
template Result<Metadata<Targets>> ParseMetadata(ByteView);
template Bytes EncodeMetadata(const Metadata<Root>&);
template Bytes EncodeMetadata(const Metadata<Timestamp>&);
template Bytes EncodeMetadata(const Metadata<Snapshot>&);
template Bytes EncodeMetadata(const Metadata<Targets>&);

Status AddSignature(std::string_view signed_text, const Signer& signer, std::vector<Signature>& signatures) {
  ASSIGN_OR_RETURN(const Bytes signature, signer.Sign(AsBytes(signed_text)));
  const std::string id = KeyIdOf(Key::FromPublicKey(signer.public_key()));
  std::erase_if(signatures, [&](const Signature& earlier) { return earlier.key_id == id; });
  signatures.push_back({id, ToHex(signature)});
  return {};
}

std::set<std::string> SignersOf(std::string_view signed_text, std::span<const Signature> signatures, const Keys& keys,
                                const RoleKeys& role) {
  std::set<std::string> ids;
  std::set<Bytes> counted;
  for (const Signature& signature : signatures) {
    const auto key = keys.find(signature.key_id);
    if (key == keys.end() || std::ranges::find(role.key_ids, signature.key_id) == role.key_ids.end()) continue;
    const std::optional<Bytes> public_key = key->second.Ed25519();
    if (!public_key || counted.contains(*public_key)) continue;
    const Result<Bytes> bytes = FromHex(signature.hex);
    if (!bytes || !VerifySignature(*public_key, AsBytes(signed_text), *bytes)) continue;
    counted.insert(*public_key);
    ids.insert(signature.key_id);
  }
  return ids;
}

Status VerifyThreshold(std::string_view role_name, std::string_view signed_text, std::span<const Signature> signatures,
                       const Keys& keys, const RoleKeys& role) {
  const size_t count = SignersOf(signed_text, signatures, keys, role).size();
  if (role.threshold > 0 && count >= role.threshold) return {};
  return Fail(Code::kBadSignature, "{} metadata is signed by {} of {} keys that the role needs", role_name, count,
              role.threshold);
}

}  // namespace tributary::tuf

#include "protocol/publication/metadata_json.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <set>

#include "protocol/seal/digest.h"

namespace tributary::tuf {
namespace {

// The version of the specification that this code follows.
constexpr std::string_view kSpecVersion = "1.0.31";
constexpr std::string_view kSupported = "1.0.";
constexpr const char* kPaths = "paths";
constexpr const char* kHashPrefixes = "path_hash_prefixes";

Error Malformed(std::string message) { return {Code::kMalformed, std::move(message)}; }

// ---- members of an object

template <class T>
Result<const T*> Member(const Json& from, std::string_view name) {
  const Json* member = from.Find(name);
  const T* value = member == nullptr ? nullptr : member->As<T>();
  if (value == nullptr) return Fail(Malformed(std::string(name) + " is missing or of the wrong kind"));
  return value;
}

Result<std::string> Text(const Json& from, std::string_view name) {
  ASSIGN_OR_RETURN(const std::string* text, Member<std::string>(from, name));
  return *text;
}

Result<uint64_t> Count(const Json& from, std::string_view name) {
  ASSIGN_OR_RETURN(const int64_t* number, Member<int64_t>(from, name));
  if (*number < 0) return Fail(Malformed(std::string(name) + " is negative"));
  return static_cast<uint64_t>(*number);
}

Result<uint64_t> Version(const Json& from) {
  ASSIGN_OR_RETURN(const uint64_t version, Count(from, "version"));
  if (version == 0) return Fail(Malformed("versions begin with 1"));
  return version;
}

Result<std::vector<std::string>> Texts(const Json& from, std::string_view name) {
  ASSIGN_OR_RETURN(const Json::Array* array, Member<Json::Array>(from, name));
  std::vector<std::string> texts;
  for (const Json& one : *array) {
    const auto* text = one.As<std::string>();
    if (text == nullptr) return Fail(Malformed(std::string(name) + " holds something other than text"));
    texts.push_back(*text);
  }
  return texts;
}

Json::Array ToJson(const std::vector<std::string>& texts) { return {texts.begin(), texts.end()}; }

// ---- time: YYYY-MM-DDTHH:MM:SSZ

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

// ---- keys and roles

Json::Object RoleToJson(const RoleKeys& role) {
  return {{"keyids", ToJson(role.key_ids)}, {"threshold", static_cast<int64_t>(role.threshold)}};
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
    // Over all of the object: fields that this build does not know count, too.
    if (Sha256(AsBytes(CanonicalText(object))).hex() != id) return Fail(Malformed("a key is not the one its id names"));
    keys.emplace(id, std::move(key));
  }
  return keys;
}

// ---- what one file says of another

Json::Object HashesOf(const Digest& sha256) { return {{"sha256", sha256.hex()}}; }

Result<Digest> HashIn(const Json& from) {
  ASSIGN_OR_RETURN(const std::string hex, Text(from, "sha256"));
  return Digest::FromHex(hex);
}

Json::Object FileToJson(const FileMeta& file) {
  Json::Object to{{"version", file.version}};
  if (file.length) to.emplace("length", *file.length);
  if (file.sha256) to.emplace("hashes", HashesOf(*file.sha256));
  return to;
}

Result<FileMeta> FileFromJson(const Json& from) {
  FileMeta to;
  ASSIGN_OR_RETURN(to.version, Version(from));
  if (from.Find("length") != nullptr) {
    ASSIGN_OR_RETURN(to.length, Count(from, "length"));
  }
  if (const Json* hashes = from.Find("hashes")) {
    ASSIGN_OR_RETURN(to.sha256, HashIn(*hashes));
  }
  return to;
}

Result<std::map<std::string, FileMeta>> FilesFromJson(const Json& from) {
  ASSIGN_OR_RETURN(const Json::Object* meta, Member<Json::Object>(from, "meta"));
  std::map<std::string, FileMeta> files;
  for (const auto& [name, file] : *meta) {
    ASSIGN_OR_RETURN(files[name], FileFromJson(file));
  }
  return files;
}

// ---- what all roles have

template <class Body>
Json::Object Head(const Body& body) {
  return {{"_type", std::string(Body::kType)},
          {"spec_version", std::string(kSpecVersion)},
          {"version", body.version},
          {"expires", DateText(body.expires)}};
}

Status CheckSpecVersion(const std::string& version) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const bool known = version.starts_with(kSupported) && version.size() > kSupported.size() &&
                     std::all_of(version.begin() + kSupported.size(), version.end(), digit);
  if (known) return {};
  return Fail(Code::kVersionUnsupported, "metadata of specification '" + version.substr(0, 40) + "' instead of 1.0.x");
}

template <class Body>
Status ReadHead(const Json& from, Body& to) {
  ASSIGN_OR_RETURN(const std::string type, Text(from, "_type"));
  if (type != Body::kType) return Fail(Malformed("it says it is '" + type.substr(0, 40) + "'"));
  ASSIGN_OR_RETURN(const std::string spec_version, Text(from, "spec_version"));
  RETURN_IF_ERROR(CheckSpecVersion(spec_version));
  ASSIGN_OR_RETURN(to.version, Version(from));
  ASSIGN_OR_RETURN(const std::string expires, Text(from, "expires"));
  ASSIGN_OR_RETURN(to.expires, DateFromText(expires));
  return {};
}

// ---- targets

Json::Object DelegationToJson(const Delegation& delegation) {
  Json::Object to = RoleToJson(delegation.role);
  to.emplace("name", delegation.name);
  if (const auto* hashes = std::get_if<PathHashPrefixes>(&delegation.paths)) {
    to.emplace(kHashPrefixes, ToJson(hashes->prefixes));
  } else {
    to.emplace(kPaths, ToJson(std::get<PathPatterns>(delegation.paths).patterns));
  }
  to.emplace("terminating", delegation.terminating);
  return to;
}

Result<DelegatedPaths> PathsFromJson(const Json& from) {
  const bool patterns = from.Find(kPaths) != nullptr;
  if (patterns == (from.Find(kHashPrefixes) != nullptr)) {
    return Fail(Malformed("a delegation has " + std::string(patterns ? "both" : "neither") +
                          " of paths and path_hash_prefixes; it needs one of them"));
  }
  ASSIGN_OR_RETURN(auto texts, Texts(from, patterns ? kPaths : kHashPrefixes));
  DelegatedPaths paths;
  if (patterns) {
    paths = PathPatterns{std::move(texts)};
  } else {
    paths = PathHashPrefixes{std::move(texts)};
  }
  RETURN_IF_ERROR(CheckPaths(paths));
  return paths;
}

Result<Delegation> DelegationFromJson(const Json& from) {
  Delegation to;
  ASSIGN_OR_RETURN(to.name, Text(from, "name"));
  RETURN_IF_ERROR(CheckName(to.name, "the name of a delegated role"));
  for (const std::string_view taken : {kRootRole, kTimestampRole, kSnapshotRole, kTargetsRole}) {
    if (to.name == taken) return Fail(Malformed("a delegated role is called " + to.name));
  }
  ASSIGN_OR_RETURN(to.role, RoleFromJson(from));
  ASSIGN_OR_RETURN(to.paths, PathsFromJson(from));
  ASSIGN_OR_RETURN(const bool* terminating, Member<bool>(from, "terminating"));
  to.terminating = *terminating;
  return to;
}

Status ReadDelegations(const Json& from, Targets& to) {
  ASSIGN_OR_RETURN(to.keys, KeysFromJson(from));
  ASSIGN_OR_RETURN(const Json::Array* roles, Member<Json::Array>(from, "roles"));
  std::set<std::string> names;
  for (const Json& role : *roles) {
    ASSIGN_OR_RETURN(to.delegations.emplace_back(), DelegationFromJson(role));
    const std::string& name = to.delegations.back().name;
    if (!names.insert(name).second) return Fail(Malformed("it delegates to " + name + " twice"));
  }
  return {};
}

}  // namespace

Json ToJson(const Key& key) {
  return Json::Object{
      {"keytype", key.type}, {"keyval", Json::Object{{"public", key.public_text}}}, {"scheme", key.scheme}};
}

Json ToJson(const Root& root) {
  Json::Object to = Head(root);
  to.emplace("consistent_snapshot", root.consistent_snapshot);
  to.emplace("keys", KeysToJson(root.keys));
  Json::Object roles;
  for (const auto& [name, role] : root.roles) roles.emplace(name, RoleToJson(role));
  to.emplace("roles", std::move(roles));
  return to;
}

Json ToJson(const Timestamp& timestamp) {
  Json::Object to = Head(timestamp);
  to.emplace("meta", Json::Object{{"snapshot.json", FileToJson(timestamp.snapshot)}});
  return to;
}

Json ToJson(const Snapshot& snapshot) {
  Json::Object to = Head(snapshot);
  Json::Object meta;
  for (const auto& [name, file] : snapshot.files) meta.emplace(name, FileToJson(file));
  to.emplace("meta", std::move(meta));
  return to;
}

Json ToJson(const Targets& targets) {
  Json::Object to = Head(targets);
  Json::Object files;
  for (const auto& [path, file] : targets.files) {
    files.emplace(path, Json::Object{{"length", file.length}, {"hashes", HashesOf(file.sha256)}});
  }
  to.emplace("targets", std::move(files));
  if (targets.delegations.empty()) return to;
  Json::Array roles;
  for (const Delegation& delegation : targets.delegations) roles.emplace_back(DelegationToJson(delegation));
  to.emplace("delegations", Json::Object{{"keys", KeysToJson(targets.keys)}, {"roles", std::move(roles)}});
  return to;
}

Status FromJson(const Json& from, Root& to) {
  RETURN_IF_ERROR(ReadHead(from, to));
  to.consistent_snapshot = false;
  if (from.Find("consistent_snapshot") != nullptr) {
    ASSIGN_OR_RETURN(const bool* consistent, Member<bool>(from, "consistent_snapshot"));
    to.consistent_snapshot = *consistent;
  }
  ASSIGN_OR_RETURN(to.keys, KeysFromJson(from));
  for (const std::string_view name : {kRootRole, kTimestampRole, kSnapshotRole, kTargetsRole}) {
    ASSIGN_OR_RETURN(const Json::Object* roles, Member<Json::Object>(from, "roles"));
    const auto role = roles->find(std::string(name));
    if (role == roles->end()) return Fail(Malformed("there is no role " + std::string(name)));
    ASSIGN_OR_RETURN(to.roles[role->first], RoleFromJson(role->second));
  }
  return {};
}

Status FromJson(const Json& from, Timestamp& to) {
  RETURN_IF_ERROR(ReadHead(from, to));
  ASSIGN_OR_RETURN(const auto files, FilesFromJson(from));
  if (files.size() != 1 || !files.contains("snapshot.json"))
    return Fail(Malformed("it names other than snapshot.json"));
  to.snapshot = files.begin()->second;
  return {};
}

Status FromJson(const Json& from, Snapshot& to) {
  RETURN_IF_ERROR(ReadHead(from, to));
  ASSIGN_OR_RETURN(to.files, FilesFromJson(from));
  return {};
}

Status FromJson(const Json& from, Targets& to) {
  RETURN_IF_ERROR(ReadHead(from, to));
  ASSIGN_OR_RETURN(const Json::Object* files, Member<Json::Object>(from, "targets"));
  for (const auto& [path, file] : *files) {
    TargetFile& target = to.files[path];
    ASSIGN_OR_RETURN(target.length, Count(file, "length"));
    const Json* hashes = file.Find("hashes");
    ASSIGN_OR_RETURN(target.sha256, HashIn(hashes == nullptr ? Json() : *hashes));
  }
  const Json* delegations = from.Find("delegations");
  return delegations == nullptr ? Status() : ReadDelegations(*delegations, to);
}

Json ToJson(const std::vector<Signature>& signatures) {
  Json::Array to;
  for (const Signature& signature : signatures) {
    to.emplace_back(Json::Object{{"keyid", signature.key_id}, {"sig", signature.hex}});
  }
  return to;
}

Result<std::vector<Signature>> SignaturesFromJson(const Json* from) {
  const auto* array = from == nullptr ? nullptr : from->As<Json::Array>();
  if (array == nullptr) return Fail(Malformed("there are no signatures"));
  if (array->size() > limits::kMetadataSignatures) {
    return Fail(Code::kTooLarge, std::to_string(array->size()) + " signatures are over the limit");
  }
  std::vector<Signature> to;
  std::set<std::string> ids;
  for (const Json& one : *array) {
    Signature& signature = to.emplace_back();
    ASSIGN_OR_RETURN(signature.key_id, Text(one, "keyid"));
    ASSIGN_OR_RETURN(signature.hex, Text(one, "sig"));
    if (!ids.insert(signature.key_id).second) return Fail(Malformed("a key has signed twice"));
  }
  return to;
}

}  // namespace tributary::tuf

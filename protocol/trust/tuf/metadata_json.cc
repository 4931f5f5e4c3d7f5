#include "protocol/trust/tuf/metadata_json.h"

#include <set>

#include "protocol/trust/tuf/json_members.h"
#include "protocol/trust/tuf/metadata_head.h"
#include "protocol/trust/tuf/named_file_json.h"
#include "protocol/trust/tuf/role_keys_json.h"

namespace tributary::tuf {
namespace {

Result<std::map<std::string, FileMeta>> FilesFromJson(const Json& from) {
  ASSIGN_OR_RETURN(const Json::Object* meta, Member<Json::Object>(from, "meta"));
  std::map<std::string, FileMeta> files;
  for (const auto& [name, file] : *meta) {
    ASSIGN_OR_RETURN(files[name], FileFromJson(file));
  }
  return files;
}

}  // namespace

Json ToJson(const Root& root) {
  Json::Object to = HeadOf(root);
  to.emplace("consistent_snapshot", root.consistent_snapshot);
  to.emplace("keys", KeysToJson(root.keys));
  Json::Object roles;
  for (const auto& [name, role] : root.roles) roles.emplace(name, RoleToJson(role));
  to.emplace("roles", std::move(roles));
  return to;
}

Json ToJson(const Timestamp& timestamp) {
  Json::Object to = HeadOf(timestamp);
  to.emplace("meta", Json::Object{{"snapshot.json", FileToJson(timestamp.snapshot)}});
  return to;
}

Json ToJson(const Snapshot& snapshot) {
  Json::Object to = HeadOf(snapshot);
  Json::Object meta;
  for (const auto& [name, file] : snapshot.files) meta.emplace(name, FileToJson(file));
  to.emplace("meta", std::move(meta));
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

#include <set>

#include "protocol/trust/tuf/json_members.h"
#include "protocol/trust/tuf/metadata_head.h"
#include "protocol/trust/tuf/metadata_json.h"
#include "protocol/trust/tuf/named_file_json.h"
#include "protocol/trust/tuf/role_keys_json.h"

// The targets role and those it delegates to; metadata_json.cc has the others.
namespace tributary::tuf {
namespace {

constexpr const char* kPaths = "paths";
constexpr const char* kHashPrefixes = "path_hash_prefixes";

Json::Object DelegationToJson(const Delegation& delegation) {
  Json::Object to = RoleToJson(delegation.role);
  to.emplace("name", delegation.name);
  if (const auto* hashes = std::get_if<PathHashPrefixes>(&delegation.paths)) {
    to.emplace(kHashPrefixes, ToArray(hashes->prefixes));
  } else {
    to.emplace(kPaths, ToArray(std::get<PathPatterns>(delegation.paths).patterns));
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

Json ToJson(const Targets& targets) {
  Json::Object to = HeadOf(targets);
  Json::Object files;
  for (const auto& [path, file] : targets.files) {
    files.emplace(path, FileToJson(file));
  }
  to.emplace("targets", std::move(files));
  if (targets.delegations.empty()) return to;
  Json::Array roles;
  for (const Delegation& delegation : targets.delegations) roles.emplace_back(DelegationToJson(delegation));
  to.emplace("delegations", Json::Object{{"keys", KeysToJson(targets.keys)}, {"roles", std::move(roles)}});
  return to;
}

Status FromJson(const Json& from, Targets& to) {
  RETURN_IF_ERROR(ReadHead(from, to));
  ASSIGN_OR_RETURN(const Json::Object* files, Member<Json::Object>(from, "targets"));
  for (const auto& [path, file] : *files) {
    ASSIGN_OR_RETURN(to.files[path], TargetFromJson(file));
  }
  const Json* delegations = from.Find("delegations");
  return delegations == nullptr ? Status() : ReadDelegations(*delegations, to);
}

}  // namespace tributary::tuf

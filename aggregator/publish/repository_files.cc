#include "aggregator/publish/repository_files.h"

#include <algorithm>

namespace tributary {

Path MetadataFile(const Path& folder, uint64_t version, std::string_view role) {
  return folder / fmt::format("{}.{}.json", version, role);
}

Result<std::vector<uint64_t>> VersionsOf(FileSystem& files, const Path& folder, std::string_view role) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files.List(folder));
  const std::string ending = fmt::format(".{}.json", role);
  std::vector<uint64_t> versions;
  for (const std::string& name : names) {
    if (!name.ends_with(ending)) continue;
    const auto version = ToNumber(std::string_view(name).substr(0, name.size() - ending.size()));
    if (version && *version > 0) versions.push_back(*version);
  }
  std::ranges::sort(versions);
  return versions;
}

const tuf::RoleKeys* FindRole(const tuf::Root& root, std::string_view name) {
  const auto found = root.roles.find(std::string(name));
  return found == root.roles.end() ? nullptr : &found->second;
}

const tuf::RoleKeys* FindRole(const tuf::Targets& targets, std::string_view name) {
  const auto found = std::ranges::find(targets.delegations, name, &tuf::Delegation::name);
  return found == targets.delegations.end() ? nullptr : &found->role;
}

}  // namespace tributary

#include "aggregator/publish/repository_files.h"

#include <algorithm>
#include <charconv>

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
    uint64_t version = 0;
    const char* const end = name.data() + name.size() - ending.size();
    const auto [stop, error] = std::from_chars(name.data(), end, version);
    if (error == std::errc() && stop == end && version > 0) versions.push_back(version);
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

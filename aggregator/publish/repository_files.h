#pragma once

#include <string_view>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/catalogue/publication_set.h"
#include "protocol/trust/tuf/metadata.h"

namespace tributary {

// The publication folder (config aggregator.publication_dir), as `tributary root` makes it and the aggregator reads it:
//   1.root.json, 2.root.json …     who may sign what; each signed by the threshold of the one before and its own
//   1.targets.json …               delegates rounds/* and models/*/* to the role "rounds", releases/* to "releases"
//   1.releases.json …              what was released; signed by the releases key
//   keys/*.pem                     the online keys of snapshot, timestamp and rounds, mode 0600; a key is found by its
//                                  public key, so old and new ones may lie side by side
// Offline keys (root, targets, releases) never lie here.
Path MetadataFile(const Path& folder, uint64_t version, std::string_view role);
// The versions of a role's files that are there, in ascending order. Errors: those of the file system; kNotFound when
// the folder is not there.
Result<std::vector<uint64_t>> VersionsOf(FileSystem& files, const Path& folder, std::string_view role);

// The keys of a role that a root names, or that targets delegate to. Null: there is no such role.
const tuf::RoleKeys* FindRole(const tuf::Root& root, std::string_view name);
const tuf::RoleKeys* FindRole(const tuf::Targets& targets, std::string_view name);

// Dates in metadata have whole seconds.
inline WallTime WholeSeconds(WallTime at) { return {at.unix_millis - at.unix_millis % 1000}; }

// Body is tuf::Root or tuf::Targets. Form only, no signature is checked. The message names the file.
template <class Body>
Result<tuf::Metadata<Body>> ReadMetadata(FileSystem& files, const Path& file) {
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(files, file, Body::kMostBytes));
  return InFile(tuf::ParseMetadata<Body>(bytes), file);
}

}  // namespace tributary

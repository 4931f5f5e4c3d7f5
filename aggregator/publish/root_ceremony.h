#pragma once

#include <optional>
#include <vector>

#include "aggregator/publish/repository_files.h"
#include "protocol/base/clock.h"

namespace tributary {

// How the keys of a publication come to be, and are replaced. Nothing here needs a running aggregator; what is written
// into the publication folder is taken up by it when it verifies, without a restart. All times are cut to whole
// seconds.

// A repository from nothing.
struct RepositoryPlan {
  std::vector<Bytes> root_keys = {};  // public keys; those without a signer here sign later (SignMetadataFile)
  uint32_t root_threshold = 1;        // 1 to the number of root_keys
  std::vector<const Signer*> root_signers = {};  // who signs the first root now
  const Signer* targets = nullptr;               // required
  const Signer* releases = nullptr;              // required
  WallTime expires;                              // of root, targets and releases
};
// Makes the online keys and writes version 1 of everything. kAlreadyExists: a root is there; kInvalidArgument.
Status CreateRepository(FileSystem& files, const Path& folder, const RepositoryPlan& plan);

// The changes of the next root to the newest one that is there.
struct RootChange {
  std::vector<Bytes> root_keys = {};  // all of them from now on; empty: as they are
  std::optional<uint32_t> root_threshold = std::nullopt;
  bool new_online_keys = false;  // snapshot and timestamp; the rounds key is the targets role's to replace
  std::optional<Bytes> targets_key = std::nullopt;
  WallTime expires;
};
// Writes the next root with the signatures of `signers`, which may be fewer than it needs; returns its file. kConflict:
// the newest one that is there still waits for signatures. kInvalidArgument.
Result<Path> WriteNextRoot(FileSystem& files, const Path& folder, const RootChange& change,
                           const std::vector<const Signer*>& signers);

// The changes of the next targets.
struct TargetsChange {
  bool new_rounds_key = false;
  std::optional<Bytes> releases_key = std::nullopt;
  WallTime expires;
};
Result<Path> WriteNextTargets(FileSystem& files, const Path& folder, const TargetsChange& change,
                              const Signer& targets);
// The same releases with a later end.
Result<Path> WriteNextReleases(FileSystem& files, const Path& folder, WallTime expires, const Signer& releases);

// Adds a signature to a metadata file of any role. kInvalidArgument: a key that the file's role (or, of a root, the one
// before it) does not list, so that its signature would count for nothing.
Status SignMetadataFile(FileSystem& files, const Path& file, const Signer& signer);

// How far a root is with its signatures: those that count of the root before it (0 of 0 for the first) and of its own.
struct RootProgress {
  size_t by_previous = 0;
  uint32_t previous_threshold = 0;
  size_t by_itself = 0;
  uint32_t threshold = 0;
  bool complete() const { return by_previous >= previous_threshold && by_itself >= threshold; }
};
Result<RootProgress> ProgressOf(FileSystem& files, const Path& folder, uint64_t version);

}  // namespace tributary

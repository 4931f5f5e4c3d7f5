#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/limits.h"
#include "protocol/trust/tuf/delegated_paths.h"

// The four kinds of TUF 1.0 metadata (theupdateframework.github.io/specification, section 4) as plain values. The files
// that carry them are in metadata.h; trusted_metadata.h says what they mean together.
namespace tributary::tuf {

// A public key as a role lists it. Only type and scheme "ed25519" verify here; other keys are kept and count for
// nothing.
struct Key {
  std::string type = "ed25519";
  std::string scheme = "ed25519";
  std::string public_text;  // Ed25519: the 32 bytes in hexadecimal
  // The whole object's canonical text if it has fields that this build does not know: they are part of the key's id and
  // are written again. Else empty.
  std::string whole_text = {};
  static Key FromPublicKey(ByteView public_key);
  // nullopt: not an Ed25519 key.
  std::optional<Bytes> Ed25519() const;
  bool operator==(const Key&) const = default;
};
using Keys = std::map<std::string, Key>;  // by key id
// Who may sign for a role: `threshold` of these.
struct RoleKeys {
  std::vector<std::string> key_ids;
  uint32_t threshold = 1;
  bool operator==(const RoleKeys&) const = default;
};
inline constexpr std::string_view kRootRole = "root";
inline constexpr std::string_view kTimestampRole = "timestamp";
inline constexpr std::string_view kSnapshotRole = "snapshot";
inline constexpr std::string_view kTargetsRole = "targets";

struct Root {
  static constexpr std::string_view kType = kRootRole;
  static constexpr size_t kMostBytes = limits::kRootBytes;
  uint64_t version = 0;  // from 1
  WallTime expires;      // whole seconds; so in all roles
  bool consistent_snapshot = true;
  Keys keys;
  std::map<std::string, RoleKeys> roles;  // all four top-level roles
  bool operator==(const Root&) const = default;
};

// One metadata file says this of another. Length and digest are checked when they are there.
struct FileMeta {
  uint64_t version = 0;
  std::optional<uint64_t> length;
  std::optional<Digest> sha256;
  static FileMeta Of(uint64_t version, ByteView file);
  bool operator==(const FileMeta&) const = default;
};

struct Timestamp {
  static constexpr std::string_view kType = kTimestampRole;
  static constexpr size_t kMostBytes = limits::kTimestampBytes;
  uint64_t version = 0;
  WallTime expires;
  FileMeta snapshot;
  bool operator==(const Timestamp&) const = default;
};

struct Snapshot {
  static constexpr std::string_view kType = kSnapshotRole;
  static constexpr size_t kMostBytes = limits::kSnapshotBytes;
  uint64_t version = 0;
  WallTime expires;
  std::map<std::string, FileMeta> files;  // "targets.json", "rounds.json", …
  bool operator==(const Snapshot&) const = default;
};

struct TargetFile {
  uint64_t length = 0;
  Digest sha256;
  bool operator==(const TargetFile&) const = default;
};

struct Delegation {
  std::string name;
  RoleKeys role;
  DelegatedPaths paths;
  bool terminating = false;
  bool Covers(std::string_view path) const { return tuf::Covers(paths, path); }
  bool operator==(const Delegation&) const = default;
};

// The top-level role, and every delegated one.
struct Targets {
  static constexpr std::string_view kType = kTargetsRole;
  static constexpr size_t kMostBytes = limits::kTargetsBytes;
  uint64_t version = 0;
  WallTime expires;
  std::map<std::string, TargetFile> files;  // by target path
  Keys keys;                                // of the delegations
  std::vector<Delegation> delegations;      // in order of priority
  bool operator==(const Targets&) const = default;
};

struct Signature {
  std::string key_id;
  std::string hex;
  bool operator==(const Signature&) const = default;
};

}  // namespace tributary::tuf

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/limits.h"
#include "protocol/base/result.h"
#include "protocol/trust/tuf/delegated_paths.h"
#include "protocol/trust/seal/signer.h"

// The metadata files of a TUF 1.0 repository (theupdateframework.github.io/specification, section 4) as plain values.
// What they mean together is in trusted_metadata.h.
namespace tributary::tuf {

// A public key as a role lists it. Only type and scheme "ed25519" verify here; other keys are kept and count for
// nothing.
struct Key {
  std::string type = "ed25519";
  std::string scheme = "ed25519";
  std::string public_text;  // Ed25519: the 32 bytes in hexadecimal
  // The whole object's canonical text, when it has fields that this build does not know: they are part of the key's id
  // and are written again. Else empty.
  std::string whole_text = {};
  static Key FromPublicKey(ByteView public_key);
  // nullopt: not an Ed25519 key.
  std::optional<Bytes> Ed25519() const;
  bool operator==(const Key&) const = default;
};
// SHA-256 of the key object's canonical form, hexadecimal.
std::string KeyIdOf(const Key& key);

using Keys = std::map<std::string, Key>;  // by key id
// Who may sign for a role: `threshold` of these.
struct RoleKeys {
  std::vector<std::string> key_ids;
  uint32_t threshold = 1;
  bool operator==(const RoleKeys&) const = default;
};
// Adds the key to both; returns its id.
std::string AddKey(ByteView public_key, Keys& keys, RoleKeys& role);

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

// What one metadata file says of another. Length and digest are checked when they are there.
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

// A metadata file: what is said, the very text that is signed (with fields that this build does not know), and by whom.
template <class Body>
struct Metadata {
  Body body;
  std::string signed_text;  // canonical JSON
  std::vector<Signature> signatures;
};

// Body is Root, Timestamp, Snapshot or Targets. MakeMetadata has no signatures yet.
template <class Body>
Metadata<Body> MakeMetadata(Body body);
// Believes nothing: form and limits only. kTooLarge: over Body::kMostBytes; kMalformed; kVersionUnsupported: a
// spec_version other than 1.0.x.
template <class Body>
Result<Metadata<Body>> ParseMetadata(ByteView file);
// The file's bytes: canonical JSON as a whole.
template <class Body>
Bytes EncodeMetadata(const Metadata<Body>& metadata);

// Signs `signed_text`; an earlier signature of that key is replaced. The errors of Signer::Sign.
Status AddSignature(std::string_view signed_text, const Signer& signer, std::vector<Signature>& signatures);
template <class Body>
Status AddSignature(Metadata<Body>& metadata, const Signer& signer) {
  return AddSignature(metadata.signed_text, signer, metadata.signatures);
}

// The ids of `role`'s keys that have signed, each public key counted once however many ids it has.
std::set<std::string> SignersOf(std::string_view signed_text, std::span<const Signature> signatures, const Keys& keys,
                                const RoleKeys& role);
// kBadSignature: fewer than the role's threshold; the message says how many.
Status VerifyThreshold(std::string_view role_name, std::string_view signed_text, std::span<const Signature> signatures,
                       const Keys& keys, const RoleKeys& role);

}  // namespace tributary::tuf

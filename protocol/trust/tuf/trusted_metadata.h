#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "protocol/trust/tuf/metadata.h"

namespace tributary::tuf {

// A client keeps these from one update to the next: the files that it believed.
struct TrustedFiles {
  Bytes root;
  Bytes timestamp;  // empty: none yet
  Bytes snapshot;   // empty: none yet
  bool operator==(const TrustedFiles&) const = default;
};

// For Begin: no date is checked. For files that were verified when they came and are only read again.
inline constexpr WallTime kAnyTime{INT64_MIN};

// The client's side of a TUF repository: the update workflow of section 5 of the TUF 1.0 specification, one step per
// call, in the order of the functions below. Each step believes its file only when everything that the specification
// asks for holds; a step that fails changes nothing, and what was believed before it stays. Value type; not thread
// safe.
//
// Errors of every step: kMalformed, kTooLarge, kVersionUnsupported (form); kBadSignature (too few keys of the role);
// kRollback (a version lower than one that was believed, or the same timestamp with other content); kMixedPublication
// (not the file that the one above names); kExpired.
class TrustedMetadata {
 public:
  // `kept.root` is believed for being there. Every expiry is compared with `update_start`, however long the update
  // takes.
  static Result<TrustedMetadata> Begin(TrustedFiles kept, WallTime update_start);

  // 5.3: files in order of their versions; those that are not newer than the trusted one are passed over. Each next
  // one needs the signatures of the old and the new keys. When a key of timestamp or snapshot is gone from it, what
  // they said is forgotten: so a fleet recovers from versions that a thief drove up (5.3.11).
  Status UpdateRoots(std::span<const Bytes> files);
  Status UpdateTimestamp(ByteView file);  // 5.4
  Status UpdateSnapshot(ByteView file);   // 5.5
  Status UpdateTargets(ByteView file);    // 5.6

  // What targets and the roles below them say of a path: in order of priority, depth first, each role once, at most
  // limits::kDelegatedRoles of them (5.6.7). `load` gives the file of a role by name. nullopt: nobody names the path.
  // Errors: of the steps, for a delegated role that was visited; those of `load`.
  using Load = std::function<Result<ByteView>(const std::string& role)>;
  Result<std::optional<TargetFile>> FindTarget(const std::string& path, const Load& load);

  // Whether a file is the one that the snapshot names: kMixedPublication.
  Status CheckInSnapshot(const std::string& role, ByteView file) const;

  const Root& root() const { return root_.body; }
  const Timestamp& timestamp() const { return timestamp_->body; }
  // The earliest end of all that was believed.
  WallTime expires() const;
  const TrustedFiles& files() const { return files_; }

 private:
  using RoleId = std::pair<std::string, std::string>;  // a role, and who delegated to it

  explicit TrustedMetadata(WallTime update_start) : update_start_(update_start) {}
  Status CheckFresh(std::string_view role, WallTime expires) const;
  Status VerifyByRoot(std::string_view role, std::string_view text, std::span<const Signature> signatures) const;
  Status CheckTimestampIsNoRollback(const Metadata<Timestamp>& next) const;
  Status CheckSnapshotIsNoRollback(const Snapshot& next) const;
  // `role` as its delegator's keys sign it.
  Result<Metadata<Targets>> ReadTargets(const std::string& role, ByteView file, const Keys& keys,
                                        const RoleKeys& signers) const;
  Result<const Targets*> Delegated(const Delegation& delegation, const RoleId& id, const Keys& keys, const Load& load);

  WallTime update_start_;
  TrustedFiles files_;
  Metadata<Root> root_;
  std::optional<Metadata<Timestamp>> timestamp_;  // of this update, or of an earlier one
  std::optional<Metadata<Snapshot>> snapshot_;
  std::map<RoleId, Targets> targets_;  // of this update
};

}  // namespace tributary::tuf

#include "protocol/trust/tuf/trusted_metadata.h"

#include <algorithm>
#include <set>

#include "protocol/trust/seal/digest.h"

namespace tributary::tuf {
namespace {

tl::unexpected<Error> FailRollback(std::string_view role, uint64_t next, uint64_t known) {
  return Fail(Code::kRollback, "{} {} came after {}", role, next, known);
}

// An id without its key signs nothing.
bool MaySign(const Root& root, std::string_view role, const std::string& id) {
  const auto& listed = root.roles.at(std::string(role)).key_ids;
  return root.keys.contains(id) && std::ranges::find(listed, id) != listed.end();
}

// Whether somebody who may sign by `before` may not do so any more.
bool LostAKey(const Root& before, const Root& after, std::string_view role) {
  return std::ranges::any_of(before.roles.at(std::string(role)).key_ids, [&](const std::string& id) {
    return MaySign(before, role, id) && !MaySign(after, role, id);
  });
}

Status CheckNamed(std::string_view name, const FileMeta& meta, ByteView file) {
  const bool same = (!meta.length || *meta.length == file.size()) && (!meta.sha256 || *meta.sha256 == Sha256(file));
  if (same) return {};
  return Fail(Code::kMixedPublication, "the {} metadata is not the file that is named for it", name);
}

Status CheckVersion(std::string_view role, uint64_t version, const FileMeta& meta) {
  if (version == meta.version) return {};
  return Fail(Code::kMixedPublication, "{} {} is there where version {} is named", role, version, meta.version);
}

}  // namespace

Result<TrustedMetadata> TrustedMetadata::Begin(TrustedFiles kept, WallTime update_start) {
  if (kept.root.empty()) {
    return Fail(Code::kMissingData,
                "no root metadata to believe a publication by: the identity folder has no root.json; copy it from the "
                "publication folder's newest root, or enrol again");
  }
  TrustedMetadata trusted(update_start);
  ASSIGN_OR_RETURN(trusted.root_, ParseMetadata<Root>(kept.root));
  if (!kept.timestamp.empty()) {
    ASSIGN_OR_RETURN(trusted.timestamp_, ParseMetadata<Timestamp>(kept.timestamp));
  }
  if (!kept.snapshot.empty()) {
    ASSIGN_OR_RETURN(trusted.snapshot_, ParseMetadata<Snapshot>(kept.snapshot));
  }
  trusted.files_ = std::move(kept);
  return trusted;
}

Status TrustedMetadata::CheckFresh(std::string_view role, WallTime expires) const {
  if (expires > update_start_) return {};
  return Fail(Code::kExpired, "{} metadata expired at {} ms, now is {} ms", role, expires.unix_millis,
              update_start_.unix_millis);
}

Status TrustedMetadata::VerifyByRoot(std::string_view role, std::string_view text,
                                     std::span<const Signature> signatures) const {
  return VerifyThreshold(role, text, signatures, root_.body.keys, root_.body.roles.at(std::string(role)));
}

Status TrustedMetadata::UpdateRoots(std::span<const Bytes> files) {
  for (const Bytes& file : files) {
    ASSIGN_OR_RETURN(Metadata<Root> next, ParseMetadata<Root>(file));
    if (next.body.version <= root_.body.version) continue;
    if (next.body.version != root_.body.version + 1) {
      return Fail(Code::kMixedPublication,
                  "no way leads from the trusted root {} to root {}; a member that was away for too many rotations is "
                  "enrolled again",
                  root_.body.version, next.body.version);
    }
    RETURN_IF_ERROR(VerifyByRoot(kRootRole, next.signed_text, next.signatures));
    const RoleKeys& own = next.body.roles.at(std::string(kRootRole));
    RETURN_IF_ERROR(VerifyThreshold(kRootRole, next.signed_text, next.signatures, next.body.keys, own));
    if (LostAKey(root_.body, next.body, kTimestampRole) || LostAKey(root_.body, next.body, kSnapshotRole)) {
      timestamp_.reset();
      snapshot_.reset();
      files_.timestamp.clear();
      files_.snapshot.clear();
    }
    root_ = std::move(next);
    files_.root = file;
  }
  return {};
}

Status TrustedMetadata::CheckTimestampIsNoRollback(const Metadata<Timestamp>& next) const {
  if (!timestamp_) return {};
  const Timestamp& known = timestamp_->body;
  if (next.body.version < known.version) return FailRollback(kTimestampRole, next.body.version, known.version);
  if (next.body.version == known.version && next.signed_text != timestamp_->signed_text) {
    return Fail(Code::kRollback, "another {} {} came, with other content", kTimestampRole, known.version);
  }
  if (next.body.snapshot.version < known.snapshot.version) {
    return FailRollback(kSnapshotRole, next.body.snapshot.version, known.snapshot.version);
  }
  return {};
}

Status TrustedMetadata::UpdateTimestamp(ByteView file) {
  RETURN_IF_ERROR(CheckFresh(kRootRole, root_.body.expires));
  ASSIGN_OR_RETURN(Metadata<Timestamp> next, ParseMetadata<Timestamp>(file));
  RETURN_IF_ERROR(VerifyByRoot(kTimestampRole, next.signed_text, next.signatures));
  RETURN_IF_ERROR(CheckTimestampIsNoRollback(next));
  RETURN_IF_ERROR(CheckFresh(kTimestampRole, next.body.expires));
  timestamp_ = std::move(next);
  files_.timestamp = ToBytes(file);
  return {};
}

Status TrustedMetadata::CheckSnapshotIsNoRollback(const Snapshot& next) const {
  if (!snapshot_) return {};
  for (const auto& [name, known] : snapshot_->body.files) {
    const auto named = next.files.find(name);
    if (named == next.files.end()) return Fail(Code::kRollback, "{} is gone from the snapshot", name);
    if (named->second.version < known.version) return FailRollback(name, named->second.version, known.version);
  }
  return {};
}

Status TrustedMetadata::UpdateSnapshot(ByteView file) {
  TRIBUTARY_CHECK(timestamp_.has_value()) << "a snapshot before its timestamp";
  const FileMeta& named = timestamp_->body.snapshot;
  RETURN_IF_ERROR(CheckNamed(kSnapshotRole, named, file));
  ASSIGN_OR_RETURN(Metadata<Snapshot> next, ParseMetadata<Snapshot>(file));
  RETURN_IF_ERROR(VerifyByRoot(kSnapshotRole, next.signed_text, next.signatures));
  RETURN_IF_ERROR(CheckVersion(kSnapshotRole, next.body.version, named));
  RETURN_IF_ERROR(CheckSnapshotIsNoRollback(next.body));
  RETURN_IF_ERROR(CheckFresh(kSnapshotRole, next.body.expires));
  snapshot_ = std::move(next);
  files_.snapshot = ToBytes(file);
  return {};
}

Status TrustedMetadata::CheckInSnapshot(const std::string& role, ByteView file) const {
  TRIBUTARY_CHECK(snapshot_.has_value()) << role << " before the snapshot";
  const auto named = snapshot_->body.files.find(role + ".json");
  if (named == snapshot_->body.files.end()) {
    return Fail(Code::kMixedPublication, "the snapshot does not name {}.json", role);
  }
  return CheckNamed(role, named->second, file);
}

Result<Metadata<Targets>> TrustedMetadata::ReadTargets(const std::string& role, ByteView file, const Keys& keys,
                                                       const RoleKeys& signers) const {
  RETURN_IF_ERROR(CheckInSnapshot(role, file));
  ASSIGN_OR_RETURN(Metadata<Targets> next, ParseMetadata<Targets>(file));
  RETURN_IF_ERROR(VerifyThreshold(role, next.signed_text, next.signatures, keys, signers));
  RETURN_IF_ERROR(CheckVersion(role, next.body.version, snapshot_->body.files.at(role + ".json")));
  RETURN_IF_ERROR(CheckFresh(role, next.body.expires));
  return next;
}

Status TrustedMetadata::UpdateTargets(ByteView file) {
  const std::string role(kTargetsRole);
  ASSIGN_OR_RETURN(auto targets, ReadTargets(role, file, root_.body.keys, root_.body.roles.at(role)));
  targets_.clear();
  targets_.emplace(RoleId{role, kRootRole}, std::move(targets.body));
  return {};
}

Result<const Targets*> TrustedMetadata::Delegated(const Delegation& delegation, const RoleId& id, const Keys& keys,
                                                  const Load& load) {
  if (const auto known = targets_.find(id); known != targets_.end()) return &known->second;
  ASSIGN_OR_RETURN(const ByteView file, load(delegation.name));
  ASSIGN_OR_RETURN(auto targets, ReadTargets(delegation.name, file, keys, delegation.role));
  return &targets_.emplace(id, std::move(targets.body)).first->second;
}

Result<std::optional<TargetFile>> TrustedMetadata::FindTarget(const std::string& path, const Load& load) {
  struct Visit {
    const Targets* delegator;      // null for the top
    const Delegation* delegation;  // of the delegator's
    RoleId id;
  };
  const RoleId top{kTargetsRole, kRootRole};
  TRIBUTARY_CHECK(targets_.contains(top)) << "a search before targets";
  std::vector<Visit> to_visit{{nullptr, nullptr, top}};  // the next one is at the end
  std::set<std::string> visited;
  while (!to_visit.empty() && visited.size() <= limits::kDelegatedRoles) {
    const Visit visit = to_visit.back();
    to_visit.pop_back();
    if (!visited.insert(visit.id.first).second) continue;
    const Targets* targets = &targets_.at(top);
    if (visit.delegation != nullptr) {
      ASSIGN_OR_RETURN(targets, Delegated(*visit.delegation, visit.id, visit.delegator->keys, load));
    }
    if (const auto found = targets->files.find(path); found != targets->files.end()) return found->second;
    std::vector<Visit> below;
    for (const Delegation& delegation : targets->delegations) {
      if (!delegation.Covers(path)) continue;
      below.push_back({targets, &delegation, {delegation.name, visit.id.first}});
      if (!delegation.terminating) continue;
      to_visit.clear();
      break;
    }
    to_visit.insert(to_visit.end(), below.rbegin(), below.rend());
  }
  return std::nullopt;
}

WallTime TrustedMetadata::expires() const {
  WallTime earliest = root_.body.expires;
  if (timestamp_) earliest = std::min(earliest, timestamp_->body.expires);
  if (snapshot_) earliest = std::min(earliest, snapshot_->body.expires);
  for (const auto& [id, targets] : targets_) earliest = std::min(earliest, targets.expires);
  return earliest;
}

}  // namespace tributary::tuf

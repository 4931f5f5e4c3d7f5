#include "aggregator/publish/root_ceremony.h"

#include <algorithm>

#include "protocol/trust/seal/secret.h"

namespace tributary {
namespace {

using tuf::Metadata;
using tuf::Root;
using tuf::Targets;

tuf::RoleKeys& RoleOf(Root& root, std::string_view name) { return root.roles[std::string(name)]; }

// The role's only key from now on.
void SetKey(ByteView public_key, Root& root, std::string_view role) {
  RoleOf(root, role) = {};
  tuf::AddKey(public_key, root.keys, RoleOf(root, role));
}

Status SetRootKeys(const std::vector<Bytes>& keys, uint32_t threshold, Root& root) {
  if (!keys.empty()) {
    RoleOf(root, tuf::kRootRole).key_ids.clear();
    for (const Bytes& key : keys) tuf::AddKey(key, root.keys, RoleOf(root, tuf::kRootRole));
  }
  const size_t count = RoleOf(root, tuf::kRootRole).key_ids.size();
  if (threshold < 1 || threshold > count) {
    return Fail(Code::kInvalidArgument, "the threshold must be 1 to the number of root keys, {}, not {}", count,
                threshold);
  }
  RoleOf(root, tuf::kRootRole).threshold = threshold;
  return {};
}

bool Lists(const tuf::RoleKeys& role, const std::string& key_id) {
  return std::ranges::find(role.key_ids, key_id) != role.key_ids.end();
}

void DropUnusedKeys(Root& root) {
  std::erase_if(root.keys, [&](const auto& key) {
    return std::ranges::none_of(root.roles, [&](const auto& role) { return Lists(role.second, key.first); });
  });
}

// A new online key in keys/<role>[-<version>].pem; its public half.
Result<Bytes> MakeOnlineKey(FileSystem& files, const Path& folder, std::string_view role, uint64_t version) {
  RETURN_IF_ERROR(files.CreateFolders(folder / "keys"));
  const std::string name = version == 1 ? fmt::format("{}.pem", role) : fmt::format("{}-{}.pem", role, version);
  ASSIGN_OR_RETURN(const auto signer, CreateSignerFile(folder / "keys" / name, SecretBytes()));
  return signer->public_key();
}

template <class Body>
Result<Path> Write(FileSystem& files, const Path& folder, std::string_view role, Body body,
                   const std::vector<const Signer*>& signers) {
  const Path file = MetadataFile(folder, body.version, role);
  Metadata<Body> metadata = tuf::MakeMetadata(std::move(body));
  for (const Signer* signer : signers) RETURN_IF_ERROR(tuf::AddSignature(metadata, *signer));
  RETURN_IF_ERROR(WriteFileAtomically(files, file, tuf::EncodeMetadata(metadata)));
  return file;
}

Result<uint64_t> NewestVersion(FileSystem& files, const Path& folder, std::string_view role) {
  ASSIGN_OR_RETURN(const auto versions, VersionsOf(files, folder, role));
  if (versions.empty()) {
    return Fail(Code::kMissingData, "{} is not there; `tributary root init` makes a publication folder",
                MetadataFile(folder, 1, role).string());
  }
  return versions.back();
}

// The newest one, as the next one begins.
template <class Body>
Result<Body> NextOf(FileSystem& files, const Path& folder, std::string_view role, WallTime expires) {
  ASSIGN_OR_RETURN(const uint64_t newest, NewestVersion(files, folder, role));
  ASSIGN_OR_RETURN(auto current, ReadMetadata<Body>(files, MetadataFile(folder, newest, role)));
  current.body.version = newest + 1;
  current.body.expires = WholeSeconds(expires);
  return std::move(current.body);
}

Status ReplaceDelegatedKey(std::string_view name, ByteView key, Targets& targets) {
  const auto found = std::ranges::find(targets.delegations, name, &tuf::Delegation::name);
  if (found == targets.delegations.end())
    return Fail(Code::kInvalidArgument, "these targets delegate nothing to {}", name);
  found->role = {};
  tuf::AddKey(key, targets.keys, found->role);
  std::erase_if(targets.keys, [&](const auto& entry) {
    return std::ranges::none_of(targets.delegations,
                                [&](const tuf::Delegation& each) { return Lists(each.role, entry.first); });
  });
  return {};
}

size_t CountSigners(const Metadata<Root>& signed_root, const Root& by) {
  const tuf::RoleKeys* const role = FindRole(by, tuf::kRootRole);
  return role ? tuf::SignersOf(signed_root.signed_text, signed_root.signatures, by.keys, *role).size() : 0;
}

uint32_t ThresholdOf(const Root& root) {
  const tuf::RoleKeys* const role = FindRole(root, tuf::kRootRole);
  return role ? role->threshold : 0;
}

// Whether a signature of that key under the file would count.
Result<bool> MaySign(FileSystem& files, const Path& file, const std::string& role, const std::string& key_id) {
  const auto names_key = [&](const auto& by) {
    const tuf::RoleKeys* const keys = FindRole(by, role);
    return keys != nullptr && Lists(*keys, key_id);
  };
  const Path folder = file.parent_path();
  ASSIGN_OR_RETURN(const uint64_t newest_root, NewestVersion(files, folder, tuf::kRootRole));
  if (role == kRoundsRole || role == kReleasesRole) {
    ASSIGN_OR_RETURN(const uint64_t newest, NewestVersion(files, folder, tuf::kTargetsRole));
    ASSIGN_OR_RETURN(const auto targets, ReadMetadata<Targets>(files, MetadataFile(folder, newest, tuf::kTargetsRole)));
    return names_key(targets.body);
  }
  std::vector<Path> roots = {MetadataFile(folder, newest_root, tuf::kRootRole)};
  if (role == tuf::kRootRole) {
    ASSIGN_OR_RETURN(const auto signed_root, ReadMetadata<Root>(files, file));
    roots = {file};
    if (signed_root.body.version > 1)
      roots.push_back(MetadataFile(folder, signed_root.body.version - 1, tuf::kRootRole));
  }
  for (const Path& path : roots) {
    ASSIGN_OR_RETURN(const auto root, ReadMetadata<Root>(files, path));
    if (names_key(root.body)) return true;
  }
  return false;
}

template <class Body>
Status AddSignatureTo(FileSystem& files, const Path& file, const Signer& signer) {
  ASSIGN_OR_RETURN(auto metadata, ReadMetadata<Body>(files, file));
  RETURN_IF_ERROR(tuf::AddSignature(metadata, signer));
  return WriteFileAtomically(files, file, tuf::EncodeMetadata(metadata));
}

// "2.root.json" -> "root".
std::string RoleOfFile(const Path& file) { return file.stem().extension().string().erase(0, 1); }

}  // namespace

Status CreateRepository(FileSystem& files, const Path& folder, const RepositoryPlan& plan) {
  TRIBUTARY_CHECK(plan.targets != nullptr && plan.releases != nullptr);
  RETURN_IF_ERROR(files.CreateFolders(folder));
  ASSIGN_OR_RETURN(const auto present, VersionsOf(files, folder, tuf::kRootRole));
  if (!present.empty()) {
    return Fail(Code::kAlreadyExists,
                "{} holds a root already; a new one would lock out whoever trusts it. Nothing was changed; `tributary "
                "root rotate` makes the next root",
                folder.string());
  }
  const WallTime expires = WholeSeconds(plan.expires);
  Root root{.version = 1, .expires = expires, .consistent_snapshot = true, .keys = {}, .roles = {}};
  RETURN_IF_ERROR(SetRootKeys(plan.root_keys, plan.root_threshold, root));
  SetKey(plan.targets->public_key(), root, tuf::kTargetsRole);
  for (const std::string_view role : {tuf::kSnapshotRole, tuf::kTimestampRole}) {
    ASSIGN_OR_RETURN(const Bytes key, MakeOnlineKey(files, folder, role, 1));
    SetKey(key, root, role);
  }
  ASSIGN_OR_RETURN(const Bytes rounds, MakeOnlineKey(files, folder, kRoundsRole, 1));
  const Targets targets =
      DelegatingTargets(1, expires, {.rounds = {rounds}, .releases = {plan.releases->public_key()}});
  RETURN_IF_ERROR(Write(files, folder, tuf::kTargetsRole, targets, {plan.targets}));
  const Targets releases{.version = 1, .expires = expires, .files = {}, .keys = {}, .delegations = {}};
  RETURN_IF_ERROR(Write(files, folder, kReleasesRole, releases, {plan.releases}));
  // Last: with it the repository is there.
  RETURN_IF_ERROR(Write(files, folder, tuf::kRootRole, root, plan.root_signers));
  return {};
}

Result<Path> WriteNextRoot(FileSystem& files, const Path& folder, const RootChange& change,
                           const std::vector<const Signer*>& signers) {
  ASSIGN_OR_RETURN(const uint64_t newest, NewestVersion(files, folder, tuf::kRootRole));
  ASSIGN_OR_RETURN(const RootProgress progress, ProgressOf(files, folder, newest));
  if (!progress.complete()) {
    return Fail(Code::kConflict,
                "{} still waits for signatures; sign it with `tributary root sign`, or remove it, before the next one. "
                "Nothing was changed",
                MetadataFile(folder, newest, tuf::kRootRole).string());
  }
  ASSIGN_OR_RETURN(Root root, NextOf<Root>(files, folder, tuf::kRootRole, change.expires));
  RETURN_IF_ERROR(SetRootKeys(change.root_keys, change.root_threshold.value_or(ThresholdOf(root)), root));
  if (change.targets_key) SetKey(*change.targets_key, root, tuf::kTargetsRole);
  for (const std::string_view role : {tuf::kSnapshotRole, tuf::kTimestampRole}) {
    if (!change.new_online_keys) break;
    ASSIGN_OR_RETURN(const Bytes key, MakeOnlineKey(files, folder, role, root.version));
    SetKey(key, root, role);
  }
  DropUnusedKeys(root);
  return Write(files, folder, tuf::kRootRole, std::move(root), signers);
}

Result<Path> WriteNextTargets(FileSystem& files, const Path& folder, const TargetsChange& change,
                              const Signer& signer) {
  ASSIGN_OR_RETURN(Targets targets, NextOf<Targets>(files, folder, tuf::kTargetsRole, change.expires));
  if (change.new_rounds_key) {
    ASSIGN_OR_RETURN(const Bytes key, MakeOnlineKey(files, folder, kRoundsRole, targets.version));
    RETURN_IF_ERROR(ReplaceDelegatedKey(kRoundsRole, key, targets));
  }
  if (change.releases_key) RETURN_IF_ERROR(ReplaceDelegatedKey(kReleasesRole, *change.releases_key, targets));
  return Write(files, folder, tuf::kTargetsRole, std::move(targets), {&signer});
}

Result<Path> WriteNextReleases(FileSystem& files, const Path& folder, WallTime expires, const Signer& signer) {
  ASSIGN_OR_RETURN(Targets releases, NextOf<Targets>(files, folder, kReleasesRole, expires));
  return Write(files, folder, kReleasesRole, std::move(releases), {&signer});
}

Status SignMetadataFile(FileSystem& files, const Path& file, const Signer& signer) {
  const std::string role = RoleOfFile(file);
  const std::string key_id = tuf::KeyIdOf(tuf::Key::FromPublicKey(signer.public_key()));
  ASSIGN_OR_RETURN(const bool counts, MaySign(files, file, role, key_id));
  if (!counts) {
    return Fail(Code::kInvalidArgument,
                "the key {} has no say in {}: its signature would count for nothing. Nothing was changed", key_id,
                file.string());
  }
  if (role == tuf::kRootRole) return AddSignatureTo<Root>(files, file, signer);
  return AddSignatureTo<Targets>(files, file, signer);
}

Result<RootProgress> ProgressOf(FileSystem& files, const Path& folder, uint64_t version) {
  ASSIGN_OR_RETURN(const auto root, ReadMetadata<Root>(files, MetadataFile(folder, version, tuf::kRootRole)));
  RootProgress progress{.by_itself = CountSigners(root, root.body), .threshold = ThresholdOf(root.body)};
  if (version == 1) return progress;
  ASSIGN_OR_RETURN(const auto previous, ReadMetadata<Root>(files, MetadataFile(folder, version - 1, tuf::kRootRole)));
  progress.by_previous = CountSigners(root, previous.body);
  progress.previous_threshold = ThresholdOf(previous.body);
  return progress;
}

}  // namespace tributary

#include "aggregator/operator/ceremony/root_steps.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "aggregator/operator/ceremony/keyring.h"
#include "aggregator/publish/publication_folder.h"
#include "aggregator/publish/root_ceremony.h"
#include "protocol/base/limits.h"
#include "protocol/trust/tuf/metadata.h"

namespace tributary {
namespace {

WallTime EndOf(const RootOptions& options) { return SystemClock().Now() + std::chrono::days(options.days); }

Keyring KeyringOf(const RootOptions& options) { return {options.passphrase_file, options.keys, options.protect}; }

std::string Signatures(size_t count) { return fmt::format("{} signature{}", count, count == 1 ? "" : "s"); }

// The signatures that are still missing, in words; empty: none.
std::string Missing(const RootProgress& progress) {
  std::string missing;
  if (progress.by_previous < progress.previous_threshold)
    missing += Signatures(progress.previous_threshold - progress.by_previous) + " by keys of the root before";
  if (progress.by_itself < progress.threshold) {
    missing += missing.empty() ? "" : " and ";
    missing += Signatures(progress.threshold - progress.by_itself) + " by its own keys";
  }
  return missing;
}

// The CA's folder, if one was named, hands root.json to every identity that is issued from then on.
Status CopyToCa(const RootOptions& options, uint64_t version) {
  if (options.ca.empty()) return {};
  ASSIGN_OR_RETURN(const Bytes root, ReadFile(RealFileSystem(), MetadataFile(options.folder, version, tuf::kRootRole),
                                              limits::kRootBytes));
  return WriteFileAtomically(RealFileSystem(), options.ca / "root.json", root);
}

// Says which signatures a root still wants and how to give them. A root that has them all is copied to the CA.
Status SayProgress(const Context& context, const RootOptions& options, uint64_t version) {
  ASSIGN_OR_RETURN(const RootProgress progress, ProgressOf(RealFileSystem(), options.folder, version));
  const std::string file = MetadataFile(options.folder, version, tuf::kRootRole).string();
  const std::string missing = Missing(progress);
  if (context.json())
    context.PrintObject({{"root", version}, {"file", file}, {"complete", progress.complete()}, {"missing", missing}});
  if (progress.complete()) {
    RETURN_IF_ERROR(CopyToCa(options, version));
    context.Say(fmt::format("root {} has all its signatures: {}", version, file));
  } else {
    context.Say(fmt::format("root {} wants {}:\n  tributary root sign {} --key KEY", version, missing, file));
  }
  return {};
}

// The targets name the rounds key and the releases key, and the targets key signs them.
bool ChangesTargets(const RootOptions& options) {
  return options.online_keys || !options.new_releases_key.empty() || !options.new_targets_key.empty();
}

Status CheckTargetsSigner(const RootOptions& options, const Signer* signer) {
  if (ChangesTargets(options) && signer == nullptr) {
    return Fail(Code::kInvalidArgument,
                "--online-keys, --new-targets-key and --new-releases-key change what the targets say; give "
                "--targets-key, which signs that. Nothing was changed");
  }
  return {};
}

Status RotateTargets(const Context& context, const RootOptions& options, Keyring& ring, const Signer& signer) {
  TargetsChange change{.new_rounds_key = options.online_keys, .expires = EndOf(options)};
  std::vector<const Signer*> opened;
  if (!options.new_releases_key.empty()) {
    ASSIGN_OR_RETURN(change.releases_key, ring.PublicKey(options.new_releases_key, opened));
  }
  ASSIGN_OR_RETURN(const Path file, WriteNextTargets(RealFileSystem(), options.folder, change, signer));
  context.Say("written: " + file.string());
  if (!opened.empty()) {
    ASSIGN_OR_RETURN(const Path releases,
                     WriteNextReleases(RealFileSystem(), options.folder, change.expires, *opened.front()));
    context.Say("written: " + releases.string());
  }
  return {};
}

Json RoleRows(const std::string& file, const std::string& role, const tuf::RoleKeys& keys, const tuf::Keys& all,
              WallTime expires) {
  Json rows = Json::array();
  for (const std::string& id : keys.key_ids) {
    const auto key = all.find(id);
    rows.push_back({{"role", role},
                    {"threshold", fmt::format("{} of {}", keys.threshold, keys.key_ids.size())},
                    {"public_key", key == all.end() ? "" : key->second.public_text},
                    {"named_by", file},
                    {"days_left",
                     (expires.unix_millis - SystemClock().Now().unix_millis) / Millis(std::chrono::days(1)).count()}});
  }
  return rows;
}

}  // namespace

Status InitRoot(const Context& context, RootOptions options) {
  if (options.keys.empty()) options.keys = options.ca / "publication-keys";
  if (options.root_keys == 0 && options.root_key_names.empty()) options.root_keys = 1;
  // This is checked before any key is made.
  if (RealFileSystem().Size(MetadataFile(options.folder, 1, tuf::kRootRole))) {
    return Fail(Code::kAlreadyExists,
                "{} holds a root already; nothing was changed. `tributary root rotate` makes the next root",
                options.folder.string());
  }
  Keyring ring = KeyringOf(options);
  RepositoryPlan plan;
  for (const std::string& named : options.root_key_names) {
    ASSIGN_OR_RETURN(plan.root_keys.emplace_back(), ring.PublicKey(named, plan.root_signers));
  }
  for (uint32_t i = 1; i <= options.root_keys; ++i) {
    ASSIGN_OR_RETURN(plan.root_signers.emplace_back(), ring.Create(fmt::format("root-{}.pem", i)));
    plan.root_keys.push_back(plan.root_signers.back()->public_key());
  }
  plan.root_threshold = options.threshold == 0 ? 1 : options.threshold;
  ASSIGN_OR_RETURN(plan.targets, ring.OpenOrCreate(options.targets_key, "targets"));
  ASSIGN_OR_RETURN(plan.releases, ring.OpenOrCreate(options.releases_key, "releases"));
  plan.expires = EndOf(options);
  RETURN_IF_ERROR(CreateRepository(RealFileSystem(), options.folder, plan));
  RETURN_IF_ERROR(CopyToCa(options, 1));
  context.Say(
      fmt::format("the publication folder is {}, members get {} with their identities\n"
                  "Keep the keys of {} offline and backed up: whoever has enough of them can say what members run.",
                  options.folder.string(), (options.ca / "root.json").string(), options.keys.string()));
  return SayProgress(context, options, 1);
}

Status RotateRoot(const Context& context, const RootOptions& options) {
  Keyring ring = KeyringOf(options);
  RootChange change{.new_online_keys = options.online_keys, .expires = EndOf(options)};
  std::vector<const Signer*> signers;
  for (const std::string& named : options.signing) {
    ASSIGN_OR_RETURN(signers.emplace_back(), ring.Open(named));
  }
  for (const std::string& named : options.root_key_names) {
    ASSIGN_OR_RETURN(change.root_keys.emplace_back(), ring.PublicKey(named, signers));
  }
  if (options.threshold > 0) change.root_threshold = options.threshold;
  const Signer* targets = nullptr;
  if (!options.targets_key.empty()) {
    ASSIGN_OR_RETURN(targets, ring.Open(options.targets_key));
  }
  if (!options.new_targets_key.empty()) {
    ASSIGN_OR_RETURN(targets, ring.Open(options.new_targets_key));
    change.targets_key = targets->public_key();
  }
  // A key may be named twice, as one that signs and one that is listed.
  std::ranges::sort(signers, {}, &Signer::public_key);
  const auto again = std::ranges::unique(signers, {}, &Signer::public_key);
  signers.erase(again.begin(), again.end());
  RETURN_IF_ERROR(CheckTargetsSigner(options, targets));
  ASSIGN_OR_RETURN(const Path file, WriteNextRoot(RealFileSystem(), options.folder, change, signers));
  if (ChangesTargets(options)) RETURN_IF_ERROR(RotateTargets(context, options, ring, *targets));
  ASSIGN_OR_RETURN(const auto root, ReadMetadata<tuf::Root>(RealFileSystem(), file));
  if (options.online_keys)
    context.Say(fmt::format("the new online keys are in keys/; remove the old ones when root {} is published",
                            root.body.version));
  return SayProgress(context, options, root.body.version);
}

Status RenewRoles(const Context& context, const RootOptions& options) {
  if (options.targets_key.empty() && options.releases_key.empty())
    return Fail(Code::kInvalidArgument, "give --targets-key, --releases-key or both. Nothing was changed");
  Keyring ring = KeyringOf(options);
  Json written = Json::array();
  if (!options.targets_key.empty()) {
    ASSIGN_OR_RETURN(Signer* const signer, ring.Open(options.targets_key));
    ASSIGN_OR_RETURN(const Path file,
                     WriteNextTargets(RealFileSystem(), options.folder, {.expires = EndOf(options)}, *signer));
    written.push_back({{"file", file.string()}, {"signed_with", options.targets_key}});
  }
  if (!options.releases_key.empty()) {
    ASSIGN_OR_RETURN(Signer* const signer, ring.Open(options.releases_key));
    ASSIGN_OR_RETURN(const Path file, WriteNextReleases(RealFileSystem(), options.folder, EndOf(options), *signer));
    written.push_back({{"file", file.string()}, {"signed_with", options.releases_key}});
  }
  context.PrintList({{"items", written}}, {{"FILE", "file"}, {"SIGNED WITH", "signed_with"}});
  return {};
}

Status SignFile(const Context& context, RootOptions options) {
  Keyring ring = KeyringOf(options);
  ASSIGN_OR_RETURN(Signer* const signer, ring.Open(options.key));
  RETURN_IF_ERROR(SignMetadataFile(RealFileSystem(), options.file, *signer));
  options.folder = options.file.parent_path();
  const auto root = ReadMetadata<tuf::Root>(RealFileSystem(), options.file);
  if (root) return SayProgress(context, options, root->body.version);
  context.Say("signed: " + options.file.string());
  return {};
}

Status ShowRoot(const Context& context, const RootOptions& options) {
  FileSystem& files = RealFileSystem();
  ASSIGN_OR_RETURN(const PublicationFolder folder, PublicationFolder::Open(files, options.folder));
  ASSIGN_OR_RETURN(const auto root, tuf::ParseMetadata<tuf::Root>(folder.offline().roots.back()));
  ASSIGN_OR_RETURN(const auto targets, tuf::ParseMetadata<tuf::Targets>(folder.offline().targets));
  Json items = Json::array();
  const auto add = [&](const Json& rows) { items.insert(items.end(), rows.begin(), rows.end()); };
  for (const auto& [role, keys] : root.body.roles)
    add(RoleRows(fmt::format("root {}", root.body.version), role, keys, root.body.keys, root.body.expires));
  for (const auto& delegation : targets.body.delegations)
    add(RoleRows(fmt::format("targets {}", targets.body.version), delegation.name, delegation.role, targets.body.keys,
                 targets.body.expires));
  context.PrintList({{"items", items}}, Columns("ROLE role, THRESHOLD threshold, PUBLIC KEY public_key, "
                                                "NAMED BY named_by, DAYS LEFT days_left"));
  context.Say("the first to end is " + folder.first_end().role);
  ASSIGN_OR_RETURN(const auto versions, VersionsOf(files, options.folder, tuf::kRootRole));
  if (context.json() || versions.back() == root.body.version) return {};
  return SayProgress(context, options, versions.back());
}

Status MakeOfflineKey(const Context& context, const RootOptions& options) {
  Keyring ring = KeyringOf(options);
  ASSIGN_OR_RETURN(const Signer* const signer, ring.Create(options.file));
  const std::string public_key = ToHex(signer->public_key());
  const std::string id = tuf::KeyIdOf(tuf::Key::FromPublicKey(signer->public_key()));
  context.PrintObject({{"file", options.file.string()}, {"public_key", public_key}, {"key_id", id}});
  return {};
}

}  // namespace tributary

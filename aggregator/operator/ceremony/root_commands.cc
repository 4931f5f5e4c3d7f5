#include "aggregator/operator/ceremony/root_commands.h"

#include <algorithm>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "aggregator/operator/ceremony/keyring.h"
#include "aggregator/publish/publication_folder.h"
#include "aggregator/publish/root_ceremony.h"
#include "protocol/base/limits.h"
#include "protocol/trust/tuf/metadata.h"

namespace tributary {
namespace {

// The options of `tributary root …`; each step reads its own.
struct RootOptions {
  Path folder;
  Path ca;
  Path keys;  // folder for new offline keys
  Path passphrase_file;
  bool protect = false;
  uint32_t root_keys = 0;                   // new ones to make
  std::vector<std::string> root_key_names;  // that are there
  uint32_t threshold = 0;
  std::string targets_key;
  std::string releases_key;
  std::vector<std::string> signing;
  std::string new_targets_key;
  std::string new_releases_key;
  bool online_keys = false;
  int64_t days = 365;
  Path file;
  std::string key;
};

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
    context.Say("root {} has all its signatures: {}", version, file);
  } else {
    context.Say("root {} wants {}:\n  tributary root sign {} --key KEY", version, missing, file);
  }
  return {};
}

// The targets name the rounds key and the releases key, and the targets key signs them.
bool ChangesTargets(const RootOptions& options) {
  return options.online_keys || !options.new_releases_key.empty() || !options.new_targets_key.empty();
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

// ---- the steps of the ceremony, a function for each subcommand

// Makes the publication folder and its keys. kAlreadyExists: it holds a root.
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
      "the publication folder is {}, members get {} with their identities\n"
      "Keep the keys of {} offline and backed up: whoever has enough of them can say what members run.",
      options.folder.string(), (options.ca / "root.json").string(), options.keys.string());
  return SayProgress(context, options, 1);
}

// Makes the next root: other keys, another threshold, a later end.
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
  const auto same = [](const Signer* one, const Signer* other) { return one->public_key() == other->public_key(); };
  signers.erase(std::unique(signers.begin(), signers.end(), same), signers.end());
  if (ChangesTargets(options) && targets == nullptr) {
    return Fail(Code::kInvalidArgument,
                "--online-keys, --new-targets-key and --new-releases-key change what the targets say; give "
                "--targets-key, which signs that. Nothing was changed");
  }
  ASSIGN_OR_RETURN(const Path file, WriteNextRoot(RealFileSystem(), options.folder, change, signers));
  if (ChangesTargets(options)) RETURN_IF_ERROR(RotateTargets(context, options, ring, *targets));
  ASSIGN_OR_RETURN(const auto root, ReadMetadata<tuf::Root>(RealFileSystem(), file));
  if (options.online_keys)
    context.Say("the new online keys are in keys/; remove the old ones when root {} is published", root.body.version);
  return SayProgress(context, options, root.body.version);
}

// Signs the same targets or releases again, with a later end.
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

// Adds a signature to a file of metadata.
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

// Shows keys, thresholds, ends, and the root that waits for signatures.
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

// Makes an offline key that somebody else's root will name.
Status MakeOfflineKey(const Context& context, const RootOptions& options) {
  Keyring ring = KeyringOf(options);
  ASSIGN_OR_RETURN(const Signer* const signer, ring.Create(options.file));
  const std::string public_key = ToHex(signer->public_key());
  const std::string id = tuf::KeyIdOf(tuf::Key::FromPublicKey(signer->public_key()));
  context.PrintObject({{"file", options.file.string()}, {"public_key", public_key}, {"key_id", id}});
  return {};
}

// ---- options that several commands have

// The places where a key may be, for help texts.
constexpr const char* kKeyPlaces = "a PEM file, or a PKCS#11 URI (pkcs11:token=…;object=…)";

void AddPassphrase(CLI::App* command, RootOptions& options) {
  command->add_option("--passphrase-file", options.passphrase_file,
                      "File (mode 0600) with the passphrase or PIN; without it the terminal is asked");
}
void AddFolder(CLI::App* command, RootOptions& options) {
  command->add_option("--dir", options.folder, "The publication folder (config aggregator.publication_dir)")
      ->required();
}
void AddCa(CLI::App* command, RootOptions& options) {
  command->add_option("--ca", options.ca, "The CA's folder: a root that is complete becomes its root.json");
}
void AddDays(CLI::App* command, RootOptions& options) {
  command->add_option("--days", options.days, "Days for which the signed files are valid")
      ->check(CLI::Range(1, 3650))
      ->capture_default_str();
}

// ---- the commands

void AddRootInit(CLI::App& root, Context& context) {
  const auto [command, options] =
      AddCommandWith<RootOptions>(root, context, "init", "Make the publication folder and its keys", &InitRoot);
  AddFolder(command, options);
  command->add_option("--ca", options.ca, "The CA's folder, which gets root.json for every member")->required();
  command->add_option("--keys", options.keys, "Folder for new offline keys [CA/publication-keys]");
  command->add_option("--root-keys", options.root_keys, "Root keys to make [1, or 0 with --root-key]")
      ->check(CLI::Range(0, 16));
  command->add_option("--root-key", options.root_key_names,
                      std::string("A root key that is there: ") + kKeyPlaces +
                          ", or 64 hexadecimal digits of the public key of somebody who signs later; repeatable");
  command->add_option("--threshold", options.threshold, "Root keys that must sign the next root [1]")
      ->check(CLI::Range(1, 16));
  command->add_option("--targets-key", options.targets_key, std::string("Instead of a new key: ") + kKeyPlaces);
  command->add_option("--releases-key", options.releases_key, std::string("Instead of a new key: ") + kKeyPlaces);
  command->add_flag("--protect", options.protect, "Ask for a passphrase for each new offline key");
  AddPassphrase(command, options);
  AddDays(command, options);
}

void AddRootRotate(CLI::App& root, Context& context) {
  const auto [command, options] = AddCommandWith<RootOptions>(
      root, context, "rotate", "Make the next root: other keys, another threshold, a later end", &RotateRoot);
  AddFolder(command, options);
  AddCa(command, options);
  command->add_option("--key", options.signing, std::string("Root keys that sign now: ") + kKeyPlaces + "; repeatable");
  command->add_option("--root-key", options.root_key_names,
                      "All root keys from now on, as in init; repeatable [as they are]");
  command->add_option("--threshold", options.threshold, "Root keys that must sign the next root from now on [as it is]")
      ->check(CLI::Range(1, 16));
  command->add_flag("--online-keys", options.online_keys, "Replace the keys of snapshot, timestamp and rounds");
  command->add_option("--targets-key", options.targets_key,
                      std::string("The present targets key, where the targets change: ") + kKeyPlaces);
  command->add_option("--new-targets-key", options.new_targets_key, std::string("The next targets key: ") + kKeyPlaces);
  command->add_option("--new-releases-key", options.new_releases_key,
                      std::string("The next releases key: ") + kKeyPlaces);
  AddPassphrase(command, options);
  AddDays(command, options);
}

void AddSigningCommands(CLI::App& root, Context& context) {
  const auto [renew, renewal] = AddCommandWith<RootOptions>(
      root, context, "renew", "Sign the same targets or releases again, with a later end", &RenewRoles);
  AddFolder(renew, renewal);
  renew->add_option("--targets-key", renewal.targets_key, std::string("Signs the targets again: ") + kKeyPlaces);
  renew->add_option("--releases-key", renewal.releases_key, std::string("Signs the releases again: ") + kKeyPlaces);
  AddPassphrase(renew, renewal);
  AddDays(renew, renewal);

  const auto [sign, signing] = AddCommandWith<RootOptions>(
      root, context, "sign", "Add a signature to a root, targets or releases file", &SignFile);
  sign->add_option("file", signing.file, "The file to sign, for instance aggregator/publication/2.root.json")
      ->required();
  sign->add_option("--key", signing.key, std::string("The key that signs: ") + kKeyPlaces)->required();
  AddCa(sign, signing);
  AddPassphrase(sign, signing);
}

}  // namespace

void AddRootCommands(CLI::App& app, Context& context) {
  CLI::App* root = AddGroup(app, "root", "Who may sign what members run: keys and signed metadata, offline");
  AddRootInit(*root, context);
  AddRootRotate(*root, context);
  AddSigningCommands(*root, context);

  const auto [show, shown] = AddCommandWith<RootOptions>(
      *root, context, "show", "Keys, thresholds and ends, and what waits for signatures", &ShowRoot);
  AddFolder(show, shown);

  const auto [key, made] = AddCommandWith<RootOptions>(
      *root, context, "key", "Make an offline key, for somebody else's root to name", &MakeOfflineKey);
  key->add_option("--out", made.file, "File for the key (mode 0600)")->required();
  key->add_flag("--protect", made.protect, "Ask for a passphrase");
  AddPassphrase(key, made);
}

}  // namespace tributary

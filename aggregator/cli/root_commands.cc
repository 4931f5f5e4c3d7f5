#include <algorithm>
#include <memory>

#include "aggregator/cli/commands.h"
#include "aggregator/cli/key_holder.h"
#include "aggregator/publish/publication_folder.h"
#include "aggregator/publish/root_ceremony.h"
#include "protocol/base/clock.h"

namespace tributary {
namespace {

using tuf::Root;
using tuf::Targets;

constexpr Millis kDay{24ll * 3600 * 1000};
constexpr const char* kKeyPlaces = "a PEM file, or a PKCS#11 URI (pkcs11:token=…;object=…)";

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

// The keys that one command works with.
class Keyring {
 public:
  explicit Keyring(const RootOptions& options) : options_(options), holder_(options.passphrase_file) {}

  Result<Signer*> Open(const std::string& where) {
    ASSIGN_OR_RETURN(auto signer, holder_.Open(where));
    return signers_.emplace_back(std::move(signer)).get();
  }
  Result<Signer*> Create(const std::string& name) {
    ASSIGN_OR_RETURN(auto signer, holder_.Create(options_.keys / (name + ".pem"), options_.protect));
    return signers_.emplace_back(std::move(signer)).get();
  }
  // The key at that place, or a new one of that name.
  Result<Signer*> OpenOrCreate(const std::string& where, const std::string& name) {
    return where.empty() ? Create(name) : Open(where);
  }
  // A public key: as 64 hexadecimal digits, or of the key at that place (which then is in `opened`).
  Result<Bytes> PublicKey(const std::string& named, std::vector<const Signer*>& opened) {
    if (auto bytes = FromHex(named); bytes && bytes->size() == kSigningPublicKeyBytes) return std::move(*bytes);
    ASSIGN_OR_RETURN(Signer* const signer, Open(named));
    opened.push_back(signer);
    return signer->public_key();
  }

 private:
  const RootOptions& options_;
  KeyHolder holder_;
  std::vector<std::unique_ptr<Signer>> signers_;
};

WallTime EndOf(const RootOptions& options) { return SystemClock().Now() + kDay * options.days; }

// The CA's folder hands root.json to every identity that is issued from then on.
Status CopyToCa(const RootOptions& options, uint64_t version) {
  if (options.ca.empty()) return {};
  ASSIGN_OR_RETURN(const Bytes root, ReadFile(RealFileSystem(), MetadataFile(options.folder, version, tuf::kRootRole),
                                              limits::kRootBytes));
  return WriteFileAtomically(RealFileSystem(), options.ca / "root.json", root);
}

std::string Plural(size_t count, const std::string& thing) {
  return std::to_string(count) + " " + thing + (count == 1 ? "" : "s");
}

// What is still missing, in words; empty: nothing.
std::string Missing(const RootProgress& progress) {
  std::string missing;
  if (progress.by_previous < progress.previous_threshold)
    missing += Plural(progress.previous_threshold - progress.by_previous, "signature") + " by keys of the root before";
  if (progress.by_itself < progress.threshold) {
    missing += missing.empty() ? "" : " and ";
    missing += Plural(progress.threshold - progress.by_itself, "signature") + " by its own keys";
  }
  return missing;
}

Status SayProgress(const Context& context, const RootOptions& options, uint64_t version) {
  ASSIGN_OR_RETURN(const RootProgress progress, ProgressOf(RealFileSystem(), options.folder, version));
  const std::string file = MetadataFile(options.folder, version, tuf::kRootRole).string();
  const std::string missing = Missing(progress);
  if (context.json())
    context.PrintObject({{"root", version}, {"file", file}, {"complete", progress.complete()}, {"missing", missing}});
  if (progress.complete()) {
    RETURN_IF_ERROR(CopyToCa(options, version));
    context.Say("root " + std::to_string(version) + " has all its signatures: " + file);
  } else {
    context.Say("root " + std::to_string(version) + " wants " + missing + ":\n  tributary root sign " + file +
                " --key KEY");
  }
  return {};
}

Status MakeKey(const Context& context, const RootOptions& options) {
  ASSIGN_OR_RETURN(const auto signer, KeyHolder(options.passphrase_file).Create(options.file, options.protect));
  const std::string public_key = ToHex(signer->public_key());
  const std::string id = tuf::KeyIdOf(tuf::Key::FromPublicKey(signer->public_key()));
  context.PrintObject({{"file", options.file.string()}, {"public_key", public_key}, {"key_id", id}});
  return {};
}

Status Init(const Context& context, RootOptions options) {
  if (options.keys.empty()) options.keys = options.ca / "publication-keys";
  if (options.root_keys == 0 && options.root_key_names.empty()) options.root_keys = 1;
  // Before any key is made.
  if (RealFileSystem().Size(MetadataFile(options.folder, 1, tuf::kRootRole))) {
    return Fail(Code::kAlreadyExists, options.folder.string() +
                                          " holds a root already; nothing was changed. `tributary "
                                          "root rotate` makes the next root");
  }
  Keyring ring(options);
  RepositoryPlan plan;
  for (const std::string& named : options.root_key_names) {
    ASSIGN_OR_RETURN(plan.root_keys.emplace_back(), ring.PublicKey(named, plan.root_signers));
  }
  for (uint32_t i = 1; i <= options.root_keys; ++i) {
    ASSIGN_OR_RETURN(plan.root_signers.emplace_back(), ring.Create("root-" + std::to_string(i)));
    plan.root_keys.push_back(plan.root_signers.back()->public_key());
  }
  plan.root_threshold = options.threshold == 0 ? 1 : options.threshold;
  ASSIGN_OR_RETURN(plan.targets, ring.OpenOrCreate(options.targets_key, "targets"));
  ASSIGN_OR_RETURN(plan.releases, ring.OpenOrCreate(options.releases_key, "releases"));
  plan.expires = EndOf(options);
  RETURN_IF_ERROR(CreateRepository(RealFileSystem(), options.folder, plan));
  RETURN_IF_ERROR(CopyToCa(options, 1));
  context.Say("the publication folder is " + options.folder.string() + ", members get " +
              (options.ca / "root.json").string() + " with their identities\nKeep the keys of " +
              options.keys.string() + " offline and backed up: whoever has enough of them can say what members run.");
  return SayProgress(context, options, 1);
}

// A new rounds key, or another releases key, is for the targets to name, and another targets key has to sign them.
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

Status Rotate(const Context& context, const RootOptions& options) {
  Keyring ring(options);
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
  ASSIGN_OR_RETURN(const auto root, ReadMetadata<Root>(RealFileSystem(), file));
  if (options.online_keys)
    context.Say("the new online keys are in keys/; remove the old ones when root " + std::to_string(root.body.version) +
                " is published");
  return SayProgress(context, options, root.body.version);
}

Status Renew(const Context& context, const RootOptions& options) {
  if (options.targets_key.empty() && options.releases_key.empty())
    return Fail(Code::kInvalidArgument, "give --targets-key, --releases-key or both. Nothing was changed");
  Keyring ring(options);
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

Status Sign(const Context& context, RootOptions options) {
  Keyring ring(options);
  ASSIGN_OR_RETURN(Signer* const signer, ring.Open(options.key));
  RETURN_IF_ERROR(SignMetadataFile(RealFileSystem(), options.file, *signer));
  options.folder = options.file.parent_path();
  const auto root = ReadMetadata<Root>(RealFileSystem(), options.file);
  if (root) return SayProgress(context, options, root->body.version);
  context.Say("signed: " + options.file.string());
  return {};
}

Json RowsOf(const std::string& file, const std::string& role, const tuf::RoleKeys& keys, const tuf::Keys& all,
            WallTime expires) {
  Json rows = Json::array();
  for (const std::string& id : keys.key_ids) {
    const auto key = all.find(id);
    rows.push_back({{"role", role},
                    {"threshold", std::to_string(keys.threshold) + " of " + std::to_string(keys.key_ids.size())},
                    {"public_key", key == all.end() ? "" : key->second.public_text},
                    {"named_by", file},
                    {"days_left", (expires.unix_millis - SystemClock().Now().unix_millis) / kDay.count()}});
  }
  return rows;
}

Status Show(const Context& context, const RootOptions& options) {
  FileSystem& files = RealFileSystem();
  ASSIGN_OR_RETURN(const PublicationFolder folder, PublicationFolder::Open(files, options.folder));
  ASSIGN_OR_RETURN(const auto root, tuf::ParseMetadata<Root>(folder.offline().roots.back()));
  ASSIGN_OR_RETURN(const auto targets, tuf::ParseMetadata<Targets>(folder.offline().targets));
  Json items = Json::array();
  const auto add = [&](const Json& rows) { items.insert(items.end(), rows.begin(), rows.end()); };
  for (const auto& [role, keys] : root.body.roles)
    add(RowsOf("root " + std::to_string(root.body.version), role, keys, root.body.keys, root.body.expires));
  for (const auto& delegation : targets.body.delegations)
    add(RowsOf("targets " + std::to_string(targets.body.version), delegation.name, delegation.role, targets.body.keys,
               targets.body.expires));
  context.PrintList({{"items", items}}, {{"ROLE", "role"},
                                         {"THRESHOLD", "threshold"},
                                         {"PUBLIC KEY", "public_key"},
                                         {"NAMED BY", "named_by"},
                                         {"DAYS LEFT", "days_left"}});
  context.Say("the first to end is " + folder.first_end().role);
  ASSIGN_OR_RETURN(const auto versions, VersionsOf(files, options.folder, tuf::kRootRole));
  if (context.json() || versions.back() == root.body.version) return {};
  return SayProgress(context, options, versions.back());
}

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
  command->add_option("--days", options.days, "Validity of what is signed")
      ->check(CLI::Range(1, 3650))
      ->capture_default_str();
}

void AddInit(CLI::App* root, Context& context) {
  const auto options = std::make_shared<RootOptions>();
  CLI::App* command = root->add_subcommand("init", "Make the publication folder and its keys");
  AddFolder(command, *options);
  command->add_option("--ca", options->ca, "The CA's folder, which gets root.json for every member")->required();
  command->add_option("--keys", options->keys, "Folder for new offline keys [CA/publication-keys]");
  command->add_option("--root-keys", options->root_keys, "Root keys to make [1, or 0 with --root-key]")
      ->check(CLI::Range(0, 16));
  command->add_option("--root-key", options->root_key_names,
                      std::string("A root key that is there: ") + kKeyPlaces +
                          ", or 64 hexadecimal digits of the public key of somebody who signs later; repeatable");
  command->add_option("--threshold", options->threshold, "Root keys that must sign the next root [1]")
      ->check(CLI::Range(1, 16));
  command->add_option("--targets-key", options->targets_key, std::string("Instead of a new one: ") + kKeyPlaces);
  command->add_option("--releases-key", options->releases_key, std::string("Instead of a new one: ") + kKeyPlaces);
  command->add_flag("--protect", options->protect, "Ask for a passphrase for each new offline key");
  AddPassphrase(command, *options);
  AddDays(command, *options);
  command->callback(context.Run([&context, options] { return Init(context, *options); }));
}

void AddRotate(CLI::App* root, Context& context) {
  const auto options = std::make_shared<RootOptions>();
  CLI::App* command = root->add_subcommand("rotate", "Make the next root: other keys, another threshold, a later end");
  AddFolder(command, *options);
  AddCa(command, *options);
  command->add_option("--key", options->signing,
                      std::string("Root keys that sign now: ") + kKeyPlaces + "; repeatable");
  command->add_option("--root-key", options->root_key_names,
                      "All root keys from now on, as in init; repeatable [as they are]");
  command->add_option("--threshold", options->threshold, "From now on [as it is]")->check(CLI::Range(1, 16));
  command->add_flag("--online-keys", options->online_keys, "Replace the keys of snapshot, timestamp and rounds");
  command->add_option("--targets-key", options->targets_key, "Signs the targets, where they change");
  command->add_option("--new-targets-key", options->new_targets_key, "Replaces the targets key");
  command->add_option("--new-releases-key", options->new_releases_key, "Replaces the releases key");
  AddPassphrase(command, *options);
  AddDays(command, *options);
  command->callback(context.Run([&context, options] { return Rotate(context, *options); }));
}

void AddRenew(CLI::App* root, Context& context) {
  const auto options = std::make_shared<RootOptions>();
  CLI::App* command = root->add_subcommand("renew", "Sign the same targets or releases again, with a later end");
  AddFolder(command, *options);
  command->add_option("--targets-key", options->targets_key, kKeyPlaces);
  command->add_option("--releases-key", options->releases_key, kKeyPlaces);
  AddPassphrase(command, *options);
  AddDays(command, *options);
  command->callback(context.Run([&context, options] { return Renew(context, *options); }));
}

}  // namespace

void AddRootCommands(CLI::App& app, Context& context) {
  CLI::App* root = app.add_subcommand("root", "Who may sign what members run: keys and signed metadata, offline");
  root->require_subcommand(1);
  AddInit(root, context);
  AddRotate(root, context);
  AddRenew(root, context);

  const auto sign = std::make_shared<RootOptions>();
  CLI::App* command = root->add_subcommand("sign", "Add a signature to a root, targets or releases file");
  command->add_option("file", sign->file, "For instance aggregator/publication/2.root.json")->required();
  command->add_option("--key", sign->key, kKeyPlaces)->required();
  AddCa(command, *sign);
  AddPassphrase(command, *sign);
  command->callback(context.Run([&context, sign] { return Sign(context, *sign); }));

  const auto show = std::make_shared<RootOptions>();
  command = root->add_subcommand("show", "Keys, thresholds and ends, and what waits for signatures");
  AddFolder(command, *show);
  command->callback(context.Run([&context, show] { return Show(context, *show); }));

  const auto key = std::make_shared<RootOptions>();
  command = root->add_subcommand("key", "Make an offline key, for somebody else's root to name");
  command->add_option("--out", key->file, "Its file")->required();
  command->add_flag("--protect", key->protect, "Ask for a passphrase");
  AddPassphrase(command, *key);
  command->callback(context.Run([&context, key] { return MakeKey(context, *key); }));
}

}  // namespace tributary

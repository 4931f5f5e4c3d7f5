#include <algorithm>
#include <memory>

#include "aggregator/operator/ceremony/root_commands.h"
#include "aggregator/operator/ceremony/root_keyring.h"
#include "aggregator/operator/ceremony/root_progress.h"
#include "aggregator/publish/root_ceremony.h"

namespace tributary {
namespace {

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
  ASSIGN_OR_RETURN(const auto root, ReadMetadata<tuf::Root>(RealFileSystem(), file));
  if (options.online_keys)
    context.Say("the new online keys are in keys/; remove the old ones when root " + std::to_string(root.body.version) +
                " is published");
  return SayProgress(context, options, root.body.version);
}

}  // namespace

void AddRootRotate(CLI::App* root, Context& context) {
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

}  // namespace tributary

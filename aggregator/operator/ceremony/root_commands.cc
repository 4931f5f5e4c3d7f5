#include "aggregator/operator/ceremony/root_commands.h"

#include <memory>

#include <CLI/CLI.hpp>

#include "aggregator/operator/ceremony/root_steps.h"

namespace tributary {
namespace {

// The places where a key may be, for help texts.
constexpr const char* kKeyPlaces = "a PEM file, or a PKCS#11 URI (pkcs11:token=…;object=…)";

// ---- options that several commands have

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

// ---- the commands

struct RootCommand {
  CLI::App* command;
  RootOptions& options;  // belong to the command
};

template <class Step>
RootCommand AddRootCommand(CLI::App& root, Context& context, const std::string& name, const std::string& help,
                           Step* step) {
  const auto options = std::make_shared<RootOptions>();
  CLI::App* command = root.add_subcommand(name, help);
  command->callback(context.Run([&context, options, step] { return step(context, *options); }));
  return {command, *options};
}

void AddRootInit(CLI::App& root, Context& context) {
  const auto [command, options] =
      AddRootCommand(root, context, "init", "Make the publication folder and its keys", &InitRoot);
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
  command->add_option("--targets-key", options.targets_key, std::string("Instead of a new one: ") + kKeyPlaces);
  command->add_option("--releases-key", options.releases_key, std::string("Instead of a new one: ") + kKeyPlaces);
  command->add_flag("--protect", options.protect, "Ask for a passphrase for each new offline key");
  AddPassphrase(command, options);
  AddDays(command, options);
}

void AddRootRotate(CLI::App& root, Context& context) {
  const auto [command, options] = AddRootCommand(
      root, context, "rotate", "Make the next root: other keys, another threshold, a later end", &RotateRoot);
  AddFolder(command, options);
  AddCa(command, options);
  command->add_option("--key", options.signing, std::string("Root keys that sign now: ") + kKeyPlaces + "; repeatable");
  command->add_option("--root-key", options.root_key_names,
                      "All root keys from now on, as in init; repeatable [as they are]");
  command->add_option("--threshold", options.threshold, "From now on [as it is]")->check(CLI::Range(1, 16));
  command->add_flag("--online-keys", options.online_keys, "Replace the keys of snapshot, timestamp and rounds");
  command->add_option("--targets-key", options.targets_key, "Signs the targets, where they change");
  command->add_option("--new-targets-key", options.new_targets_key, "Replaces the targets key");
  command->add_option("--new-releases-key", options.new_releases_key, "Replaces the releases key");
  AddPassphrase(command, options);
  AddDays(command, options);
}

void AddSigningCommands(CLI::App& root, Context& context) {
  const auto [renew, renewal] =
      AddRootCommand(root, context, "renew", "Sign the same targets or releases again, with a later end", &RenewRoles);
  AddFolder(renew, renewal);
  renew->add_option("--targets-key", renewal.targets_key, kKeyPlaces);
  renew->add_option("--releases-key", renewal.releases_key, kKeyPlaces);
  AddPassphrase(renew, renewal);
  AddDays(renew, renewal);

  const auto [sign, signing] =
      AddRootCommand(root, context, "sign", "Add a signature to a root, targets or releases file", &SignFile);
  sign->add_option("file", signing.file, "For instance aggregator/publication/2.root.json")->required();
  sign->add_option("--key", signing.key, kKeyPlaces)->required();
  AddCa(sign, signing);
  AddPassphrase(sign, signing);
}

}  // namespace

void AddRootCommands(CLI::App& app, Context& context) {
  CLI::App* root = app.add_subcommand("root", "Who may sign what members run: keys and signed metadata, offline");
  root->require_subcommand(1);
  AddRootInit(*root, context);
  AddRootRotate(*root, context);
  AddSigningCommands(*root, context);

  const auto [show, shown] =
      AddRootCommand(*root, context, "show", "Keys, thresholds and ends, and what waits for signatures", &ShowRoot);
  AddFolder(show, shown);

  const auto [key, made] =
      AddRootCommand(*root, context, "key", "Make an offline key, for somebody else's root to name", &MakeOfflineKey);
  key->add_option("--out", made.file, "Its file")->required();
  key->add_flag("--protect", made.protect, "Ask for a passphrase");
  AddPassphrase(key, made);
}

}  // namespace tributary

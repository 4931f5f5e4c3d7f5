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

void AddRootInit(CLI::App* root, Context& context) {
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
  command->callback(context.Run([&context, options] { return InitRoot(context, *options); }));
}

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
  command->callback(context.Run([&context, options] { return RotateRoot(context, *options); }));
}

void AddRootRenew(CLI::App* root, Context& context) {
  const auto options = std::make_shared<RootOptions>();
  CLI::App* command = root->add_subcommand("renew", "Sign the same targets or releases again, with a later end");
  AddFolder(command, *options);
  command->add_option("--targets-key", options->targets_key, kKeyPlaces);
  command->add_option("--releases-key", options->releases_key, kKeyPlaces);
  AddPassphrase(command, *options);
  AddDays(command, *options);
  command->callback(context.Run([&context, options] { return RenewRoles(context, *options); }));
}

void AddRootSign(CLI::App* root, Context& context) {
  const auto options = std::make_shared<RootOptions>();
  CLI::App* command = root->add_subcommand("sign", "Add a signature to a root, targets or releases file");
  command->add_option("file", options->file, "For instance aggregator/publication/2.root.json")->required();
  command->add_option("--key", options->key, kKeyPlaces)->required();
  AddCa(command, *options);
  AddPassphrase(command, *options);
  command->callback(context.Run([&context, options] { return SignFile(context, *options); }));
}

void AddRootShow(CLI::App* root, Context& context) {
  const auto options = std::make_shared<RootOptions>();
  CLI::App* command = root->add_subcommand("show", "Keys, thresholds and ends, and what waits for signatures");
  AddFolder(command, *options);
  command->callback(context.Run([&context, options] { return ShowRoot(context, *options); }));
}

void AddRootKey(CLI::App* root, Context& context) {
  const auto options = std::make_shared<RootOptions>();
  CLI::App* command = root->add_subcommand("key", "Make an offline key, for somebody else's root to name");
  command->add_option("--out", options->file, "Its file")->required();
  command->add_flag("--protect", options->protect, "Ask for a passphrase");
  AddPassphrase(command, *options);
  command->callback(context.Run([&context, options] { return MakeOfflineKey(context, *options); }));
}

}  // namespace

void AddRootCommands(CLI::App& app, Context& context) {
  CLI::App* root = app.add_subcommand("root", "Who may sign what members run: keys and signed metadata, offline");
  root->require_subcommand(1);
  AddRootInit(root, context);
  AddRootRotate(root, context);
  AddRootRenew(root, context);
  AddRootSign(root, context);
  AddRootShow(root, context);
  AddRootKey(root, context);
}

}  // namespace tributary

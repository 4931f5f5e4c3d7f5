#include <memory>

#include "aggregator/operator/ceremony/root_commands.h"
#include "aggregator/operator/ceremony/root_keyring.h"
#include "aggregator/operator/ceremony/root_progress.h"
#include "aggregator/publish/root_ceremony.h"

namespace tributary {
namespace {

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

}  // namespace

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
  command->callback(context.Run([&context, options] { return Init(context, *options); }));
}

}  // namespace tributary

#include <memory>

#include "aggregator/operator/ceremony/root_commands.h"
#include "aggregator/operator/ceremony/root_keyring.h"
#include "aggregator/publish/root_ceremony.h"

namespace tributary {
namespace {

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

}  // namespace

void AddRootRenew(CLI::App* root, Context& context) {
  const auto options = std::make_shared<RootOptions>();
  CLI::App* command = root->add_subcommand("renew", "Sign the same targets or releases again, with a later end");
  AddFolder(command, *options);
  command->add_option("--targets-key", options->targets_key, kKeyPlaces);
  command->add_option("--releases-key", options->releases_key, kKeyPlaces);
  AddPassphrase(command, *options);
  AddDays(command, *options);
  command->callback(context.Run([&context, options] { return Renew(context, *options); }));
}

}  // namespace tributary

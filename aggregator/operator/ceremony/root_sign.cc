#include <memory>

#include "aggregator/operator/ceremony/root_commands.h"
#include "aggregator/operator/ceremony/root_keyring.h"
#include "aggregator/operator/ceremony/root_progress.h"
#include "aggregator/publish/root_ceremony.h"

namespace tributary {
namespace {

Status Sign(const Context& context, RootOptions options) {
  Keyring ring(options);
  ASSIGN_OR_RETURN(Signer* const signer, ring.Open(options.key));
  RETURN_IF_ERROR(SignMetadataFile(RealFileSystem(), options.file, *signer));
  options.folder = options.file.parent_path();
  const auto root = ReadMetadata<tuf::Root>(RealFileSystem(), options.file);
  if (root) return SayProgress(context, options, root->body.version);
  context.Say("signed: " + options.file.string());
  return {};
}

}  // namespace

void AddRootSign(CLI::App* root, Context& context) {
  const auto options = std::make_shared<RootOptions>();
  CLI::App* command = root->add_subcommand("sign", "Add a signature to a root, targets or releases file");
  command->add_option("file", options->file, "For instance aggregator/publication/2.root.json")->required();
  command->add_option("--key", options->key, kKeyPlaces)->required();
  AddCa(command, *options);
  AddPassphrase(command, *options);
  command->callback(context.Run([&context, options] { return Sign(context, *options); }));
}

}  // namespace tributary

#include <memory>

#include "aggregator/operator/ceremony/key_holder.h"
#include "aggregator/operator/ceremony/root_commands.h"
#include "aggregator/operator/ceremony/root_options.h"
#include "protocol/trust/tuf/metadata.h"

namespace tributary {
namespace {

Status MakeKey(const Context& context, const RootOptions& options) {
  ASSIGN_OR_RETURN(const auto signer, KeyHolder(options.passphrase_file).Create(options.file, options.protect));
  const std::string public_key = ToHex(signer->public_key());
  const std::string id = tuf::KeyIdOf(tuf::Key::FromPublicKey(signer->public_key()));
  context.PrintObject({{"file", options.file.string()}, {"public_key", public_key}, {"key_id", id}});
  return {};
}

}  // namespace

void AddRootKey(CLI::App* root, Context& context) {
  const auto options = std::make_shared<RootOptions>();
  CLI::App* command = root->add_subcommand("key", "Make an offline key, for somebody else's root to name");
  command->add_option("--out", options->file, "Its file")->required();
  command->add_flag("--protect", options->protect, "Ask for a passphrase");
  AddPassphrase(command, *options);
  command->callback(context.Run([&context, options] { return MakeKey(context, *options); }));
}

}  // namespace tributary

#include "aggregator/operator/ceremony/root_commands.h"

namespace tributary {

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

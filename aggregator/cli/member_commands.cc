#include "aggregator/cli/commands.h"
#include "aggregator/cli/table.h"

namespace tributary {

void AddMemberCommands(CLI::App& app, Context& context) {
  CLI::App* devices = app.add_subcommand("devices", "Devices and evaluators of the fleet");
  devices->require_subcommand(1);
  devices->add_subcommand("list", "As they were last heard of")->callback(context.Run([&context]() -> Status {
    ASSIGN_OR_RETURN(ApiClient client, context.Client());
    ASSIGN_OR_RETURN(const Json list, client.Devices());
    context.PrintList(list, {{"ID", "id"},
                             {"ROLE", "role"},
                             {"CLASS", "device_class"},
                             {"VIA", "via"},
                             {"UPLOADS", "uploads"},
                             {"LAST SEEN", "last_seen"}});
    return {};
  }));

  app.add_subcommand(
         "account",
         "Where every upload went: offered = delivered + spooled + in flight + duplicate + refused + dropped")
      ->callback(context.Run([&context]() -> Status {
        ASSIGN_OR_RETURN(ApiClient client, context.Client());
        ASSIGN_OR_RETURN(const Json list, client.Account());
        context.PrintList(list, AccountColumns());
        return {};
      }));
}

}  // namespace tributary

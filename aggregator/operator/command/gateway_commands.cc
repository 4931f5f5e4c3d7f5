#include "aggregator/operator/command/commands.h"
#include "aggregator/operator/command/gateway_view.h"

namespace tributary {
namespace {

Status List(const Context& context) {
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  ASSIGN_OR_RETURN(const Json list, client.Gateways());
  if (context.json()) {
    context.PrintObject(list);
    return {};
  }
  context.PrintList({{"items", GatewayRows(list["items"])}}, {{"GATEWAY", "gateway"},
                                                              {"HEARD", "heard"},
                                                              {"CLIENTS", "clients"},
                                                              {"SPOOL", "spool"},
                                                              {"OLDEST", "oldest"},
                                                              {"DISK FREE", "disk"},
                                                              {"DEAD", "dead"},
                                                              {"UP", "up"},
                                                              {"DOWN", "down"},
                                                              {"PUBLICATION", "publication"},
                                                              {"ACCOUNT", "account"},
                                                              {"TROUBLE", "trouble"}});
  return {};
}

Status Show(const Context& context, const std::string& id) {
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  ASSIGN_OR_RETURN(const Json gateway, client.Gateway(id));
  if (context.json()) {
    context.PrintObject(gateway);
    return {};
  }
  context.Say(RenderGateway(gateway));
  return {};
}

struct Revocation {
  std::string id;
  std::string reason;
};

Status Revoke(const Context& context, const Revocation& revocation) {
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  ASSIGN_OR_RETURN(const Json enrolment, client.RevokeGateway(revocation.id, revocation.reason));
  if (context.json()) context.PrintObject(enrolment);
  context.Say("gateway " + revocation.id +
              " is revoked; it is refused as soon as the next publication arrives where it connects to");
  return {};
}

}  // namespace

void AddGatewayCommands(CLI::App& app, Context& context) {
  CLI::App* gateways = app.add_subcommand("gateways", "Gateways of the whole tree, as they last described themselves");
  gateways->require_subcommand(1);
  gateways->add_subcommand("list", "One line each, in the order of the tree")->callback(context.Run([&context] {
    return List(context);
  }));
  CLI::App* show = gateways->add_subcommand("show", "Place, link, spool, account and trouble of one");
  const auto id = std::make_shared<std::string>();
  show->add_option("gateway", *id, "Its id")->required();
  show->callback(context.Run([&context, id] { return Show(context, *id); }));

  const auto revocation = std::make_shared<Revocation>();
  CLI::App* revoke = gateways->add_subcommand("revoke", "Put one out, for good: all its certificates stop counting");
  revoke->add_option("gateway", revocation->id, "Its id")->required();
  revoke->add_option("--reason", revocation->reason, "For the record: 1 to 256 bytes")->required();
  revoke->callback(context.Run([&context, revocation] { return Revoke(context, *revocation); }));
}

}  // namespace tributary

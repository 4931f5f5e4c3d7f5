#include <memory>

#include "aggregator/operator/command/commands.h"
#include "aggregator/operator/command/table.h"

namespace tributary {
namespace {

struct Decided {
  std::string id;
  std::string reason;
};

void AddDeviceList(CLI::App& devices, Context& context) {
  const auto state = std::make_shared<std::string>();
  CLI::App* list = devices.add_subcommand("list", "Everybody who enrolled or was heard of");
  list->add_option("--state", *state, "Only those whose enrolment is so")
      ->check(CLI::IsMember({"pending", "refused", "active", "revoked"}));
  list->callback(context.Run([&context, state]() -> Status {
    ASSIGN_OR_RETURN(ApiClient client, context.Client());
    ASSIGN_OR_RETURN(const Json all, client.Devices(*state));
    context.PrintList(all, {{"ID", "id"},
                            {"ROLE", "role"},
                            {"CLASS", "device_class"},
                            {"STATE", "enrolment.state"},
                            {"CERTIFICATE UNTIL", "enrolment.not_after"},
                            {"VIA", "via"},
                            {"UPLOADS", "uploads"},
                            {"WITHHELD", "report.withheld"},
                            {"LAST SEEN", "last_seen"}});
    return {};
  }));
}

void AddDeviceShow(CLI::App& devices, Context& context) {
  const auto id = std::make_shared<std::string>();
  CLI::App* show = devices.add_subcommand("show", "One device: enrolment, what it last reported of itself");
  show->add_option("device", *id, "Its id")->required();
  show->callback(context.Run([&context, id]() -> Status {
    ASSIGN_OR_RETURN(ApiClient client, context.Client());
    ASSIGN_OR_RETURN(const Json device, client.Device(*id));
    context.PrintObject(device);
    return {};
  }));
}

void AddDecision(CLI::App& devices, Context& context, const std::string& decision, const std::string& help) {
  const auto decided = std::make_shared<Decided>();
  CLI::App* command = devices.add_subcommand(decision, help);
  command->add_option("device", decided->id, "Its id")->required();
  if (decision != "approve") {
    command->add_option("--reason", decided->reason, "For the record: 1 to 256 bytes")->required();
  }
  command->callback(context.Run([&context, decision, decided]() -> Status {
    ASSIGN_OR_RETURN(ApiClient client, context.Client());
    ASSIGN_OR_RETURN(const Json enrolment, client.DecideDevice(decided->id, decision, decided->reason));
    if (context.json()) context.PrintObject(enrolment);
    context.Say("device " + decided->id + " is " + RenderValue(enrolment.value("state", Json())));
    // The reason says so where a list of this aggregator cannot name a certificate.
    if (decision == "revoke") {
      context.Say("The aggregator refuses it from now on, gateways when the next publication reaches them.\nreason: " +
                  RenderValue(enrolment.value("reason", Json())));
    }
    return {};
  }));
}

}  // namespace

void AddMemberCommands(CLI::App& app, Context& context) {
  CLI::App* devices = app.add_subcommand("devices", "Devices and evaluators of the fleet");
  devices->require_subcommand(1);
  AddDeviceList(*devices, context);
  AddDeviceShow(*devices, context);
  AddDecision(*devices, context, "approve", "Let one in that waits: it gets its certificate");
  AddDecision(*devices, context, "refuse", "Turn one away that waits, for good");
  AddDecision(*devices, context, "revoke", "Put one out, for good: all its certificates stop counting");

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

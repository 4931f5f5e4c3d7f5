#include "aggregator/operator/command/member_commands.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "protocol/trust/seal/signing.h"

namespace tributary {
namespace {

// ---- devices

struct DeviceDecision {
  std::string id;
  std::string reason;
};

void AddDeviceList(CLI::App& devices, Context& context) {
  const auto state = std::make_shared<std::string>();
  CLI::App* list = devices.add_subcommand("list", "Every device that enrolled or was heard of");
  list->add_option("--state", *state, "Only those in this state of enrolment")
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
  CLI::App* show = devices.add_subcommand("show", "One device: its enrolment, and what it last said of itself");
  show->add_option("device", *id, "Its id")->required();
  show->callback(context.Run([&context, id]() -> Status {
    ASSIGN_OR_RETURN(ApiClient client, context.Client());
    ASSIGN_OR_RETURN(const Json device, client.Device(*id));
    context.PrintObject(device);
    return {};
  }));
}

void AddDecision(CLI::App& devices, Context& context, const std::string& decision, const std::string& help) {
  const auto decided = std::make_shared<DeviceDecision>();
  CLI::App* command = devices.add_subcommand(decision, help);
  command->add_option("device", decided->id, "Its id")->required();
  if (decision != "approve") {
    command->add_option("--reason", decided->reason, "For the record: 1 to 256 bytes")->required();
  }
  command->callback(context.Run([&context, decision, decided]() -> Status {
    ASSIGN_OR_RETURN(ApiClient client, context.Client());
    ASSIGN_OR_RETURN(const Json enrolment, client.DecideDevice(decided->id, decision, decided->reason));
    if (context.json()) context.PrintObject(enrolment);
    context.Say(fmt::format("device {} is {}", decided->id, RenderValue(enrolment.value("state", Json()))));
    // The reason also says when this aggregator's revocation list cannot name a certificate.
    if (decision == "revoke") {
      context.Say(fmt::format(
          "The aggregator refuses it from now on, gateways when the next publication reaches them.\nreason: {}",
          RenderValue(enrolment.value("reason", Json()))));
    }
    return {};
  }));
}

void AddDevices(CLI::App& app, Context& context) {
  CLI::App* devices = app.add_subcommand("devices", "Devices and evaluators of the fleet");
  devices->require_subcommand(1);
  AddDeviceList(*devices, context);
  AddDeviceShow(*devices, context);
  AddDecision(*devices, context, "approve", "Let a waiting one in: it gets its certificate");
  AddDecision(*devices, context, "refuse", "Turn a waiting one away, for good");
  AddDecision(*devices, context, "revoke", "Exclude one for good: all its certificates stop counting");
}

// ---- enrolment tokens

struct TokenOptions {
  std::string id;
  std::string role = "device";
  std::string device_class;
  std::vector<std::string> labels;
  uint64_t expires_days = 7;
  uint64_t uses = 1;
  bool wait_for_approval = false;
  Path out;
};

Json RequestOf(const TokenOptions& options) {
  Json request = {{"id", options.id},         {"role", options.role},
                  {"labels", options.labels}, {"expires_seconds", options.expires_days * 24 * 3600},
                  {"uses", options.uses},     {"approved", !options.wait_for_approval}};
  if (!options.device_class.empty()) request["device_class"] = options.device_class;
  return request;
}

// The secret goes into a file of mode 0600. It reaches the terminal only when JSON is asked for.
Status CreateToken(const Context& context, const TokenOptions& options) {
  if (options.out.empty() && !context.json()) {
    return Fail(Code::kInvalidArgument,
                "say with --out where the invitation goes; it holds a secret and is shown once");
  }
  if (!options.out.empty() && std::filesystem::exists(options.out)) {
    return Fail(Code::kAlreadyExists, "{} is there already", options.out.string());
  }
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  ASSIGN_OR_RETURN(const Json made, client.CreateEnrolmentToken(RequestOf(options)));
  if (options.out.empty()) {
    context.PrintObject(made);
    return {};
  }
  const std::string invitation = made.value("invitation", Json()).dump(2) + "\n";
  RETURN_IF_ERROR(WriteSecretFile(options.out, SecretBytes::CopyOf(AsBytes(invitation))));
  if (context.json()) {
    context.PrintObject(made.value("token", Json()));
    return {};
  }
  context.Say(
      fmt::format("the invitation is in {} (mode 0600); bring it to the {} over a way you trust, then run there:\n"
                  "  tributary-{} enrol --invitation FILE …",
                  options.out.string(), options.role, options.role == "gateway" ? "gateway" : "device"));
  return {};
}

void AddTokenCreate(CLI::App& tokens, Context& context) {
  const auto options = std::make_shared<TokenOptions>();
  CLI::App* create = tokens.add_subcommand("create", "Make a token and the invitation that carries it");
  create->add_option("id", options->id, "Its name in lists")->required();
  create->add_option("--role", options->role, "What its holders become")
      ->check(CLI::IsMember({"device", "evaluator", "gateway"}))
      ->capture_default_str();
  create->add_option("--class", options->device_class, "Their device class; not for gateways");
  create->add_option("--label", options->labels, "A name for the record; may be given several times");
  create->add_option("--expires-days", options->expires_days, "For so many days members can enrol with it")
      ->check(CLI::Range(1, 365))
      ->capture_default_str();
  create->add_option("--uses", options->uses, "How many members may enrol with it")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  create->add_flag("--wait-for-approval", options->wait_for_approval, "Each one waits for 'tributary devices approve'");
  create->add_option("--out", options->out, "File for the invitation; made with mode 0600");
  create->callback(context.Run([&context, options] { return CreateToken(context, *options); }));
}

void AddTokens(CLI::App& app, Context& context) {
  CLI::App* tokens =
      app.add_subcommand("tokens", "Enrolment tokens, with which devices and gateways become members of the fleet");
  tokens->require_subcommand(1);
  tokens->footer(
      "Not to be confused with API tokens, with which people and programs use the aggregator's API:\n"
      "'tributary-aggregator token add' makes those.");
  AddTokenCreate(*tokens, context);

  tokens->add_subcommand("list", "All tokens, without their secrets")->callback(context.Run([&context]() -> Status {
    ASSIGN_OR_RETURN(ApiClient client, context.Client());
    ASSIGN_OR_RETURN(const Json list, client.EnrolmentTokens());
    context.PrintList(list, {{"ID", "id"},
                             {"ROLE", "role"},
                             {"CLASS", "device_class"},
                             {"USED", "used"},
                             {"OF", "uses"},
                             {"APPROVED", "approved"},
                             {"EXPIRES", "expires"},
                             {"BY", "created_by"}});
    return {};
  }));

  const auto id = std::make_shared<std::string>();
  CLI::App* remove =
      tokens->add_subcommand("remove", "Remove a token: nobody enrols with it any more; its members stay");
  remove->add_option("id", *id, "Its name, as 'list' shows it")->required();
  remove->callback(context.Run([&context, id]() -> Status {
    ASSIGN_OR_RETURN(ApiClient client, context.Client());
    ASSIGN_OR_RETURN(const Json removed, client.RemoveEnrolmentToken(*id));
    if (context.json()) context.PrintObject(removed);
    context.Say(fmt::format("enrolment token {} is gone; {} members enrolled with it and stay", *id,
                            RenderValue(removed.value("used", Json()))));
    return {};
  }));
}

// ---- sealing keys

void AddSealingKeys(CLI::App& app, Context& context) {
  CLI::App* keys = app.add_subcommand("sealing-keys", "The aggregator's keys that devices seal their uploads to");
  keys->require_subcommand(1);
  const std::vector<Column> columns = {{"KEY", "id"}, {"STATE", "state"}, {"OPENS UNTIL", "until"}};

  keys->add_subcommand("list", "The current one, and former ones that still open")
      ->callback(context.Run([&context, columns]() -> Status {
        ASSIGN_OR_RETURN(ApiClient client, context.Client());
        ASSIGN_OR_RETURN(const Json list, client.SealingKeys());
        context.PrintList(list, columns);
        return {};
      }));

  const auto days = std::make_shared<uint64_t>(14);
  CLI::App* rotate =
      keys->add_subcommand("rotate", "Make a new one; uploads sealed to the present one still open for a while");
  rotate
      ->add_option("--overlap-days", *days,
                   "For so long: enough for uploads in spools and on devices that are away. 0 if the key was stolen")
      ->check(CLI::Range(0, 365))
      ->capture_default_str();
  rotate->callback(context.Run([&context, columns, days]() -> Status {
    ASSIGN_OR_RETURN(ApiClient client, context.Client());
    ASSIGN_OR_RETURN(const Json list, client.RotateSealingKey(*days));
    context.PrintList(list, columns);
    return {};
  }));
}

}  // namespace

void AddMemberCommands(CLI::App& app, Context& context) {
  AddDevices(app, context);
  AddTokens(app, context);
  AddSealingKeys(app, context);
}

}  // namespace tributary

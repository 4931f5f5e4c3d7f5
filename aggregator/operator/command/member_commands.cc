#include "aggregator/operator/command/member_commands.h"

#include <algorithm>
#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "protocol/trust/seal/signing.h"

namespace tributary {
namespace {

// ---- devices

void AddDecision(CLI::App& devices, Context& context, const std::string& decision, const std::string& help) {
  CLI::App* command = devices.add_subcommand(decision, help);
  const auto id = RequiredName(*command, "device", "The device's id");
  const auto reason = std::make_shared<std::string>();
  command->add_option("--reason", *reason, "For the record: 1 to 256 bytes")->required();
  command->callback(context.Tell(
      [decision, id, reason](ApiClient& client) {
        return client.DecideDevice(*id, decision, {{"reason", *reason}});
      },
      [decision, id](const Json& enrolment) {
        std::string text = fmt::format("device {} is {}", *id, RenderValue(enrolment.value("state", Json())));
        if (decision != "revoke") return text;
        // The reason also says when this aggregator's revocation list cannot name a certificate.
        return fmt::format(
            "{}\nThe aggregator refuses it from now on, gateways when the next publication reaches them.\nreason: {}",
            text, RenderValue(enrolment.value("reason", Json())));
      }));
}

void AddApproval(CLI::App& devices, Context& context) {
  CLI::App* command = devices.add_subcommand("approve", "Let a waiting one in: it gets its certificate");
  const auto id = RequiredName(*command, "device", "Its id");
  const auto replaces = std::make_shared<bool>(false);
  command->add_flag("--replaces-key", *replaces,
                    "Give the id to the key that asked for it last, for instance after the device was set up anew. The "
                    "old key's certificates are revoked, and its uploads that are still on their way are refused");
  command->callback(context.Tell(
      [id, replaces](ApiClient& client) {
        return client.DecideDevice(*id, "approve", {{"replaces_key", *replaces}});
      },
      [id, replaces](const Json& enrolment) {
        const std::string state = RenderValue(enrolment.value("state", Json()));
        if (!*replaces) return fmt::format("device {} is {}", *id, state);
        return fmt::format(
            "device {} has another key: {}\nThe old key is revoked. The device gets its "
            "certificate when it asks again.",
            *id, RenderValue(enrolment.value("public_key", Json())));
      }));
}

void AddForget(CLI::App& devices, Context& context) {
  CLI::App* command = devices.add_subcommand(
      "forget", "Free the id of one that was revoked or refused: another can enrol with it, but none of its old keys");
  const auto id = RequiredName(*command, "device", "Its id");
  const auto reason = std::make_shared<std::string>();
  const auto report_only = std::make_shared<bool>(false);
  command->add_option("--reason", *reason, "For the record: 1 to 256 bytes")->required();
  command->add_flag("--report-only", *report_only,
                    "Forget only what it said of itself, so that it can begin anew: for a device that lost its data "
                    "folder and kept its identity");
  command->callback(context.Tell(
      [=](ApiClient& client) {
        return client.DecideDevice(*id, *report_only ? "forget-report" : "forget", {{"reason", *reason}});
      },
      [=](const Json&) {
        return *report_only ? fmt::format("what device {} said of itself is forgotten", *id)
                            : fmt::format("the id {} is free", *id);
      }));
}

const Json& FailuresOf(const Json& device) {
  static const Json kNone = Json::array();
  const Json& report = device.at("report");
  return report.is_null() ? kNone : report.at("failures");
}

// "digits few-examples, faces learner-memory, 3 more"; "-": none.
std::string FailingText(const Json& device) {
  constexpr size_t kShown = 2;
  const Json& failures = FailuresOf(device);
  std::string text;
  for (size_t i = 0; i < std::min(kShown, failures.size()); ++i) {
    text += (text.empty() ? "" : ", ") + failures[i].at("task").get<std::string>() + " " +
            failures[i].at("code").get<std::string>();
  }
  if (failures.size() > kShown) text += fmt::format(", {} more", failures.size() - kShown);
  return text.empty() ? "-" : text;
}

std::string RenderDevices(const Json& list) {
  Json rows = list.at("items");
  for (Json& row : rows) row["failing"] = FailingText(row);
  std::string table = RenderTable(
      rows,
      Columns("ID id, ROLE role, CLASS device_class, STATE enrolment.state, CERTIFICATE UNTIL "
              "enrolment.not_after, VIA via, UPLOADS uploads, WITHHELD report.withheld, FAILING failing, LAST SEEN "
              "last_seen"));
  table.pop_back();  // the last line break, which comes by itself
  return table;
}

// All that is known of it; at the end, for each task of which it cannot do its part, why and what to do.
std::string RenderDevice(const Json& device) {
  std::string text = RenderObject(device);
  for (const Json& failure : FailuresOf(device)) {
    const auto field = [&failure](const char* key) { return RenderValue(failure.at(key)); };
    text +=
        fmt::format("\ntask {} fails on version {}: {}, {} times, last {}\n  what happened  {}\n  what to do     {}\n",
                    field("task"), field("version"), field("code"), field("count"), field("last"), field("sentence"),
                    field("remedy"));
  }
  text.pop_back();
  return text;
}

void AddDevices(CLI::App& app, Context& context) {
  CLI::App* devices = AddGroup(app, "devices", "Devices and evaluators of the fleet");

  const auto state = std::make_shared<std::string>();
  CLI::App* list = devices->add_subcommand("list", "Every device that enrolled or was heard of");
  list->add_option("--state", *state, "Only those in this state of enrolment")
      ->check(CLI::IsMember({"pending", "refused", "active", "revoked"}));
  list->callback(context.Tell([state](ApiClient& client) { return client.Devices(*state); }, &RenderDevices));

  CLI::App* show = devices->add_subcommand(
      "show", "One device: its enrolment, what it last said of itself, and why it cannot train, if so");
  const auto id = RequiredName(*show, "device", "The device's id");
  show->callback(context.Tell([id](ApiClient& client) { return client.Device(*id); }, &RenderDevice));

  AddApproval(*devices, context);
  AddDecision(*devices, context, "refuse", "Turn a waiting device away for good");
  AddDecision(*devices, context, "revoke",
              "Exclude a device for good: all its certificates stop counting. Any name can be revoked, heard of or not");
  AddForget(*devices, context);
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
  context.PrintOutcome(made.value("token", Json()),
                       "the invitation is in {} (mode 0600); bring it to the {} over a way you trust, then run there:\n"
                       "  tributary-{} enrol --invitation FILE …",
                       options.out.string(), options.role, options.role == "gateway" ? "gateway" : "device");
  return {};
}

void AddTokenCreate(CLI::App& tokens, Context& context) {
  const auto [create, options] = AddCommandWith<TokenOptions>(
      tokens, context, "create", "Make a token and the invitation that carries it", &CreateToken);
  create->add_option("id", options.id, "The token's name, for you")->required();
  create->add_option("--role", options.role, "What its holders become")
      ->check(CLI::IsMember({"device", "evaluator", "gateway"}))
      ->capture_default_str();
  create->add_option("--class", options.device_class, "The device class of its holders; not for gateways");
  create->add_option("--label", options.labels, "A name that is kept with each of its holders; repeatable");
  create->add_option("--expires-days", options.expires_days, "Days until nobody can enrol with it any more")
      ->check(CLI::Range(1, 365))
      ->capture_default_str();
  create->add_option("--uses", options.uses, "How many members may enrol with it")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  create->add_flag("--wait-for-approval", options.wait_for_approval,
                   "Let nobody in before 'tributary devices approve'");
  create->add_option("--out", options.out,
                     "New file for the invitation (mode 0600); needed unless --output json prints it");
}

void AddTokens(CLI::App& app, Context& context) {
  CLI::App* tokens =
      AddGroup(app, "tokens", "Enrolment tokens, with which devices and gateways become members of the fleet");
  AddTokenCreate(*tokens, context);

  tokens->add_subcommand("list", "All tokens, without their secrets")
      ->callback(context.List(&ApiClient::EnrolmentTokens,
                              Columns("ID id, ROLE role, CLASS device_class, USED used, OF uses, APPROVED approved, "
                                      "EXPIRES expires, BY created_by")));

  CLI::App* remove =
      tokens->add_subcommand("remove", "Remove a token: nobody enrols with it any more; its members stay");
  const auto id = RequiredName(*remove, "id", "The token's name, as 'list' shows it");
  remove->callback(context.Tell([id](ApiClient& client) { return client.RemoveEnrolmentToken(*id); },
                                [id](const Json& removed) {
                                  return fmt::format("enrolment token {} is gone; {} members enrolled with it and stay",
                                                     *id, RenderValue(removed.value("used", Json())));
                                }));
  tokens->footer(
      "API tokens, with which people and programs use the aggregator's API, are others:\n"
      "'tributary-aggregator token add' makes those.");
}

// ---- sealing keys

void AddSealingKeys(CLI::App& app, Context& context) {
  CLI::App* keys = AddGroup(app, "sealing-keys", "The aggregator's keys that devices seal their uploads to");
  const auto columns = Columns("KEY id, STATE state, OPENS UNTIL until");
  keys->add_subcommand("list", "The current key, and former ones that still open uploads")
      ->callback(context.List(&ApiClient::SealingKeys, columns));

  const auto days = std::make_shared<uint64_t>(14);
  CLI::App* rotate =
      keys->add_subcommand("rotate", "Make a new key; uploads sealed to the present one still open for a while");
  rotate
      ->add_option("--overlap-days", *days,
                   "Days for which uploads sealed to the former key still open: as long as uploads may wait on the "
                   "way; 0 if it was stolen")
      ->check(CLI::Range(0, 365))
      ->capture_default_str();
  rotate->callback(context.List([days](ApiClient& client) { return client.RotateSealingKey(*days); }, columns));
}

}  // namespace

void AddMemberCommands(CLI::App& app, Context& context) {
  AddDevices(app, context);
  AddTokens(app, context);
  AddSealingKeys(app, context);
}

}  // namespace tributary

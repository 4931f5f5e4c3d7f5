#include <memory>

#include "aggregator/operator/command/commands.h"
#include "protocol/trust/seal/signing.h"

namespace tributary {
namespace {

struct CreateOptions {
  std::string id;
  std::string role = "device";
  std::string device_class;
  std::vector<std::string> labels;
  uint64_t expires_days = 7;
  uint64_t uses = 1;
  bool wait_for_approval = false;
  Path out;
};

Json RequestOf(const CreateOptions& options) {
  Json request = {{"id", options.id},         {"role", options.role},
                  {"labels", options.labels}, {"expires_seconds", options.expires_days * 24 * 3600},
                  {"uses", options.uses},     {"approved", !options.wait_for_approval}};
  if (!options.device_class.empty()) request["device_class"] = options.device_class;
  return request;
}

// The secret goes into a file of mode 0600 and on no terminal, unless it is asked for as JSON.
Status Create(const Context& context, const CreateOptions& options) {
  if (options.out.empty() && !context.json()) {
    return Fail(Code::kInvalidArgument,
                "say with --out where the invitation goes; it holds a secret and is shown once");
  }
  if (!options.out.empty() && std::filesystem::exists(options.out)) {
    return Fail(Code::kAlreadyExists, options.out.string() + " is there already");
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
  const bool gateway = options.role == "gateway";
  context.Say("the invitation is in " + options.out.string() + " (mode 0600); bring it to the " + options.role +
              " over a way you trust, then there:\n  tributary-" + (gateway ? "gateway" : "device") +
              " enrol --invitation FILE …");
  return {};
}

void AddCreate(CLI::App& tokens, Context& context) {
  const auto options = std::make_shared<CreateOptions>();
  CLI::App* create = tokens.add_subcommand("create", "Make one, and the invitation that carries it");
  create->add_option("id", options->id, "What lists call it")->required();
  create->add_option("--role", options->role, "What its holders become")
      ->check(CLI::IsMember({"device", "evaluator", "gateway"}))
      ->capture_default_str();
  create->add_option("--class", options->device_class, "Their device class; not for gateways");
  create->add_option("--label", options->labels, "A name for the record; several times if need be");
  create->add_option("--expires-days", options->expires_days, "Days until nobody can enrol with it any more")
      ->check(CLI::Range(1, 365))
      ->capture_default_str();
  create->add_option("--uses", options->uses, "How many members may enrol with it")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  create->add_flag("--wait-for-approval", options->wait_for_approval, "Each one waits for 'tributary devices approve'");
  create->add_option("--out", options->out, "File for the invitation; made with mode 0600");
  create->callback(context.Run([&context, options] { return Create(context, *options); }));
}

}  // namespace

void AddEnrolmentTokenCommands(CLI::App& app, Context& context) {
  CLI::App* tokens =
      app.add_subcommand("tokens", "Enrolment tokens, with which devices and gateways become members of the fleet");
  tokens->require_subcommand(1);
  tokens->footer(
      "Not to be confused with API tokens, with which people and programs use the aggregator's API:\n"
      "'tributary-aggregator token add' makes those.");
  AddCreate(*tokens, context);

  tokens->add_subcommand("list", "All that were not removed, without their secrets")
      ->callback(context.Run([&context]() -> Status {
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
  CLI::App* remove = tokens->add_subcommand("remove", "Nobody enrols with it any more; who has, stays");
  remove->add_option("id", *id, "As 'list' shows it")->required();
  remove->callback(context.Run([&context, id]() -> Status {
    ASSIGN_OR_RETURN(ApiClient client, context.Client());
    ASSIGN_OR_RETURN(const Json removed, client.RemoveEnrolmentToken(*id));
    if (context.json()) context.PrintObject(removed);
    context.Say("enrolment token " + *id + " is gone; " + RenderValue(removed.value("used", Json())) +
                " members enrolled with it and stay");
    return {};
  }));
}

}  // namespace tributary

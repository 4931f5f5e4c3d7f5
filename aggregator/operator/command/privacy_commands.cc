#include "aggregator/operator/command/privacy_commands.h"

#include <charconv>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "aggregator/privacy/price.h"

namespace tributary {
namespace {

struct PricedPlan {
  RunPlan plan;
  std::vector<Field> fields = FieldsOf(plan);
  std::vector<std::string> texts = std::vector<std::string>(fields.size());  // as they were typed; empty: not given
};

// What a person typed: a whole number, another number, or a word.
FieldValue ValueOf(const std::string& text) {
  if (const auto whole = ToNumber(text)) return *whole;
  double real = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), real);
  if (error == std::errc() && end == text.data() + text.size()) return real;
  return text;
}

Json ToJson(const RunPlan& plan, const RunPrice& price) {
  return {{"theorem", price.theorem},
          {"epsilon", price.epsilon},
          {"delta", price.delta},
          {"rho", price.rho > 0 ? Json(price.rho) : Json()},
          {"noise", price.noise},
          {"effective_noise", price.effective_noise},
          {"participations", price.participations},
          {"devices", plan.devices},
          {"enough_devices", price.enough_devices},
          {"noise_to_signal", 1 / price.signal_to_noise},
          {"signal_to_noise", price.signal_to_noise}};
}

Status PlanPrivacy(const Context& context, PricedPlan& options) {
  for (size_t i = 0; i < options.fields.size(); ++i) {
    if (options.texts[i].empty()) continue;
    const Field& field = options.fields[i];
    if (const Status set = field.Set(ValueOf(options.texts[i])); !set) {
      return Fail(set.error().code, "--{} {}", field.name, set.error().message);
    }
  }
  ASSIGN_OR_RETURN(const RunPrice price, PriceOf(options.plan));
  context.PrintObject(ToJson(options.plan, price));
  RETURN_IF_ERROR(CheckUse(options.plan, price));
  if (price.signal_to_noise >= kGoodSignal) return {};
  context.Say(
      "\nThis will train slowly if at all: the noise has {:.1f} times the largest norm of a round's mean. With {} "
      "devices "
      "in a round it would have {:.1f} times.",
      1 / price.signal_to_noise, price.enough_devices, 1 / kGoodSignal);
  return {};
}

// The object, and below it a line for each version.
std::string RenderStanding(const Json& standing) {
  Json shown = standing;
  shown.erase("versions");
  std::string text = RenderObject(shown);
  for (const Json& version : standing.value("versions", Json::array())) {
    text += fmt::format("version {}  spent {}  ledger line {}\n", RenderValue(version.value("version", Json())),
                        RenderValue(version.value("spent", Json())),
                        RenderValue(version.value(Json::json_pointer("/ledger/line"), Json())));
  }
  text.pop_back();
  return text;
}

}  // namespace

void AddPrivacyCommands(CLI::App& app, Context& context) {
  CLI::App* privacy = AddGroup(app, "privacy", "Differential privacy: what it would cost, and what a task has spent");
  const auto [plan, options] = AddCommandWith<PricedPlan>(
      *privacy, context, "plan", "Price a run before any data is touched: epsilon, and how much of a round is noise",
      &PlanPrivacy);
  for (size_t i = 0; i < options.fields.size(); ++i) {
    const Field& field = options.fields[i];
    CLI::Option* option = plan->add_option("--" + std::string(field.name), options.texts[i], std::string(field.help));
    if (field.required) option->required();
    if (!field.names.empty())
      option->check(CLI::IsMember(std::vector<std::string>(field.names.begin(), field.names.end())));
  }
  plan->footer(
      "Give --noise or --epsilon; the other follows. A run whose model would learn noise is refused, exit code 2.\n"
      "  tributary privacy plan --parameters 215370 --devices 1000 --rounds 100 --separation 20 --epsilon 8\n"
      "  tributary privacy plan --parameters 215370 --devices 1000 --rounds 100 --separation 20 --epsilon 8 \\\n"
      "    --accounting correlated\n");

  CLI::App* show = privacy->add_subcommand("show", "What a task's versions have told of one device, and what is left");
  const auto task = RequiredName(*show, "task", "The task's name");
  show->footer(
      "spent        epsilon of all versions so far, at the task's delta, by the theorem that is named\n"
      "stopped      why no further round opens\n"
      "noise        deviation of a sum's noise over the most that one device can change it\n"
      "lost_rounds  rounds that were charged because the aggregator was restored from a backup");
  show->callback(context.Tell([task](ApiClient& client) { return client.OfTask(*task, "privacy"); }, &RenderStanding));
}

}  // namespace tributary

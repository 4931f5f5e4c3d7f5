#include <memory>

#include "aggregator/operator/command/commands.h"

namespace tributary {

void AddSealingKeyCommands(CLI::App& app, Context& context) {
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
  CLI::App* rotate = keys->add_subcommand("rotate", "A new one; uploads sealed to the present one open for a while");
  rotate
      ->add_option("--overlap-days", *days,
                   "How long: enough for what lies in spools and on devices that are away. 0 if it was stolen")
      ->check(CLI::Range(0, 365))
      ->capture_default_str();
  rotate->callback(context.Run([&context, columns, days]() -> Status {
    ASSIGN_OR_RETURN(ApiClient client, context.Client());
    ASSIGN_OR_RETURN(const Json list, client.RotateSealingKey(*days));
    context.PrintList(list, columns);
    return {};
  }));
}

}  // namespace tributary

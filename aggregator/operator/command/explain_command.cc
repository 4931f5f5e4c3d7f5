#include <algorithm>
#include <iostream>
#include <memory>

#include "aggregator/operator/command/commands.h"

namespace tributary {
namespace {

// In the order of CodeKind.
constexpr const char* kWhoseFault[] = {"the peer's", "nobody's; it passes", "this machine's", "that of whoever asked"};

Json EntryOf(Code code) {
  const CodeEntry& entry = Describe(code);
  return {{"code", entry.name},
          {"number", static_cast<int>(entry.code)},
          {"kind", CodeKindName(entry.kind)},
          {"sentence", entry.sentence},
          {"remedy", entry.remedy},
          {"transient", entry.transient}};
}

Status Explain(const Context& context, const std::string& name) {
  if (name.empty()) {
    Json items = Json::array();
    for (const auto& entry : AllCodes()) items.push_back(EntryOf(entry.code));
    context.PrintList({{"items", items}}, {{"CODE", "code"}, {"WHAT HAPPENED", "sentence"}});
    return {};
  }
  auto code = CodeByName(name);
  if (!code && name.find_first_not_of("0123456789") == std::string::npos && name.size() < 5) {
    code = CodeByNumber(static_cast<uint16_t>(std::stoi(name)));
  }
  if (!code) return Fail(Code::kNotFound, "there is no code '" + name + "'; 'tributary explain' lists them");
  if (context.json()) {
    context.PrintObject(EntryOf(*code));
    return {};
  }
  const CodeEntry& entry = Describe(*code);
  std::cout << entry.name << " (" << static_cast<int>(entry.code) << ")\n"
            << "  what happened  " << entry.sentence << "\n"
            << "  what to do     " << entry.remedy << "\n"
            << "  whose fault    " << kWhoseFault[static_cast<size_t>(entry.kind)] << "\n"
            << "  retried        " << (entry.transient ? "yes, by itself" : "no, it is final") << "\n";
  return {};
}

}  // namespace

void AddExplainCommand(CLI::App& app, Context& context) {
  const auto name = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("explain", "What an error code means and what to do; without one, all codes");
  command->add_option("code", *name, "Name or number, for example digest-mismatch");
  command->callback(context.Run([&context, name] { return Explain(context, *name); }));
}

}  // namespace tributary

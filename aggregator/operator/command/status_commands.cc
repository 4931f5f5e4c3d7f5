#include "aggregator/operator/command/status_commands.h"

#include <iostream>
#include <memory>
#include <set>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "aggregator/api/audit_log.h"
#include "aggregator/api/json_fields.h"

namespace tributary {
namespace {

Status ShowStatus(const Context& context) {
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  ASSIGN_OR_RETURN(const Json readiness, client.Readiness());
  ASSIGN_OR_RETURN(const Json tasks, client.Tasks());
  ASSIGN_OR_RETURN(const Json devices, client.Devices());
  ASSIGN_OR_RETURN(const Json gateways, client.Gateways());
  const bool ready = readiness.value("ready", false);
  Json summary = {{"url", context.url},
                  {"ready", ready},
                  {"devices", devices["items"].size()},
                  {"gateways", gateways["items"].size()}};
  if (context.json()) {
    summary["checks"] = readiness["checks"];
    summary["tasks"] = tasks["items"];
  }
  context.PrintObject(summary);
  if (!context.json()) {
    for (const auto& check : readiness.value("checks", Json::array())) {
      if (!check.value("ok", false)) {
        context.Say("not ready: {}: {}\n  what to do: {}", check.value("name", ""), check.value("why", ""),
                    check.value("remedy", ""));
      }
    }
    context.Say("");
    context.PrintList(tasks,
                      Columns("TASK id, VERSION latest_version, ROUNDS WANTED rounds_wanted, PARAMETERS parameters"));
  }
  if (!ready) return Fail(Code::kBusy, "the aggregator at {} is not ready", context.url);
  return {};
}

// In the order of CodeKind.
constexpr const char* kWhoseFault[] = {"the peer's", "nobody's; it passes", "this machine's", "that of whoever asked"};

Status Explain(const Context& context, const std::string& name) {
  if (name.empty()) {
    context.PrintList(ListToJson(AllCodes(), &CodeToJson), Columns("CODE code, WHAT HAPPENED sentence"));
    return {};
  }
  auto code = CodeByName(name);
  if (!code && name.find_first_not_of("0123456789") == std::string::npos && name.size() < 5) {
    code = CodeByNumber(static_cast<uint16_t>(std::stoi(name)));
  }
  if (!code) return Fail(Code::kNotFound, "there is no code '{}'; 'tributary explain' lists them", name);
  const CodeEntry& entry = Describe(*code);
  if (context.json()) {
    context.PrintObject(CodeToJson(entry));
    return {};
  }
  std::cout << entry.name << " (" << static_cast<int>(entry.code) << ")\n"
            << "  what happened  " << entry.sentence << "\n"
            << "  what to do     " << entry.remedy << "\n"
            << "  whose fault    " << kWhoseFault[static_cast<size_t>(entry.kind)] << "\n"
            << "  retried        " << (entry.transient ? "yes, by itself" : "no, it is final") << "\n";
  return {};
}

// ---- the audit log

constexpr uint64_t kAuditPage = 1000;

// Calls `take` for every page after the entry `after`. Returns the last page's head.
Result<Json> ForEachPage(const Context& context, uint64_t after, const std::function<Status(const Json& items)>& take) {
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  for (;;) {
    ASSIGN_OR_RETURN(const Json page, client.Audit(after, kAuditPage));
    RETURN_IF_ERROR(take(page.value("items", Json::array())));
    if (const Json damage = page.value("damage", Json()); damage.is_string()) {
      return Fail(Code::kCorrupt, damage.get<std::string>());
    }
    const Json next = page.value("next", Json());
    if (!next.is_number_unsigned()) return page.value("head", Json::object());
    if (next.get<uint64_t>() <= after) return Fail(Code::kMalformed, "page {} of the audit log is not followed", after);
    after = next.get<uint64_t>();
  }
}

// Leaves out the beginning of a change when its end is in the list as well.
Json WithoutBeginnings(const Json& items) {
  std::set<uint64_t> ended;
  for (const Json& item : items) {
    if (item.value("begun", Json()).is_number_unsigned()) ended.insert(item["begun"].get<uint64_t>());
  }
  Json left = Json::array();
  for (const Json& item : items) {
    if (!ended.contains(item.value("sequence", uint64_t{0}))) left.push_back(item);
  }
  return left;
}

Status ListAudit(const Context& context, uint64_t after) {
  Json items = Json::array();
  const auto head = ForEachPage(context, after, [&](const Json& page) -> Status {
    items.insert(items.end(), page.begin(), page.end());
    return {};
  });
  // Shows the entries in front of a damage, then tells the damage.
  context.PrintList({{"items", context.json() ? items : WithoutBeginnings(items)}},
                    Columns("ENTRY sequence, TIME time, WHO actor, WHAT action, ON target, OUTCOME outcome"));
  if (!head) return Fail(head.error());
  return {};
}

Status ExportAudit(const Context& context, const Path& out) {
  std::string lines;
  ASSIGN_OR_RETURN(const Json head, ForEachPage(context, 0, [&](const Json& page) -> Status {
                     for (const Json& item : page) {
                       ASSIGN_OR_RETURN(const std::string line, AuditLineOfJson(item.dump()));
                       lines += line + "\n";
                     }
                     return {};
                   }));
  RETURN_IF_ERROR(WriteFileAtomically(RealFileSystem(), out, AsBytes(lines)));
  ASSIGN_OR_RETURN(const AuditSummary summary, VerifyAuditFile(RealFileSystem(), out));
  context.PrintOutcome(head,
                       "{} entries are in {}, whole; keep the last one's hash {} elsewhere: it proves all of them",
                       summary.entries, out.string(), summary.head.hex());
  return {};
}

Status VerifyAudit(const Context& context, const Path& file, const std::string& known) {
  ASSIGN_OR_RETURN(const AuditSummary summary, VerifyAuditFile(RealFileSystem(), file, known));
  context.PrintObject({{"entries", summary.entries},
                       {"first", Rfc3339(summary.first)},
                       {"last", Rfc3339(summary.last)},
                       {"head", summary.head.hex()}});
  return {};
}

void AddAudit(CLI::App& app, Context& context) {
  CLI::App* audit = AddGroup(app, "audit", "Who changed what, when: needs an API token of the role admin");

  const auto after = std::make_shared<uint64_t>(0);
  CLI::App* list = audit->add_subcommand("list", "Every change, and every attempt that a role did not permit");
  list->add_option("--after", *after, "List only entries after this number");
  list->callback(context.Run([&context, after] { return ListAudit(context, *after); }));

  const auto file = std::make_shared<Path>();
  CLI::App* save = audit->add_subcommand("export", "Write the whole log to a file, as the aggregator keeps it");
  save->add_option("--out", *file, "The file")->required();
  save->callback(context.Run([&context, file] { return ExportAudit(context, *file); }));

  const auto known = std::make_shared<std::string>();
  CLI::App* verify =
      audit->add_subcommand("verify", "Check that a log, or an export of one, is whole; asks no aggregator");
  verify->add_option("FILE", *file, "data_dir/audit.log of an aggregator, or an export")->required();
  verify->add_option("--known", *known, "A hash that was noted earlier: one of the entries must have it");
  verify->callback(context.Run([&context, file, known] { return VerifyAudit(context, *file, *known); }));
}

void AddClock(CLI::App& app, Context& context) {
  CLI::App* clock = AddGroup(app, "clock", "The aggregator's clock: it signs nothing for members after a jump");
  clock->add_subcommand("show", "The time that it believes, its system's time, and that of its members")
      ->callback(context.Show([](ApiClient& client) { return client.Clock(false); }));
  clock->add_subcommand("accept", "Its system's time is right: sign with it from now on. Needs the role admin")
      ->callback(context.Tell([](ApiClient& client) { return client.Clock(true); }, [](const Json& after) {
        return fmt::format("the aggregator believes its clock again: {}", after.value("believed", ""));
      }));
}

void AddStaging(CLI::App& app, Context& context) {
  CLI::App* staging = AddGroup(app, "staging", "Uploads that have begun to come in and are not whole: list, drop");
  const auto device = std::make_shared<std::string>();
  CLI::App* list = staging->add_subcommand("list", "Those first that got a chunk longest ago");
  CLI::App* drop = staging->add_subcommand("drop", "Make room: their senders have them, and offer them again");
  for (CLI::App* command : {list, drop}) command->add_option("--device", *device, "Only those of this device");
  list->callback(context.List([device](ApiClient& client) { return client.Staging(false, *device); },
                              Columns("UPLOAD upload, KIND kind, TASK task, DEVICE device, ANNOUNCED announced_bytes, "
                                      "HERE stored_bytes, HELD held_bytes")));
  drop->callback(context.Tell([device](ApiClient& client) { return client.Staging(true, *device); },
                              [](const Json& after) {
                                return fmt::format("{} partial uploads were dropped; nothing is lost",
                                                   after.value("dropped", uint64_t{0}));
                              }));
}

}  // namespace

void AddStatusCommands(CLI::App& app, Context& context) {
  app.add_subcommand("status", "Whether the aggregator is ready, and what it works on")
      ->callback(context.Run([&context] { return ShowStatus(context); }));

  app.add_subcommand(
         "account",
         "Where every upload went: offered = delivered + spooled + in flight + duplicate + refused + dropped")
      ->callback(context.List(&ApiClient::Account, AccountColumns()));

  AddAudit(app, context);
  AddClock(app, context);
  AddStaging(app, context);

  const auto name = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("explain", "What an error code means and what to do; without one, all codes");
  command->add_option("code", *name, "Name or number, for example digest-mismatch");
  command->callback(context.Run([&context, name] { return Explain(context, *name); }));
}

}  // namespace tributary

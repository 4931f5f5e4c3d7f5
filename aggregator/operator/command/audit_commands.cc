#include <iostream>
#include <memory>
#include <set>

#include "aggregator/api/audit_log.h"
#include "aggregator/api/json_fields.h"
#include "aggregator/operator/command/commands.h"

namespace tributary {
namespace {

constexpr uint64_t kPage = 1000;

// Calls `take` for every page after the entry `after`; the last page's head is returned.
Result<Json> ForEachPage(const Context& context, uint64_t after, const std::function<Status(const Json& items)>& take) {
  ASSIGN_OR_RETURN(ApiClient client, context.Client());
  for (;;) {
    ASSIGN_OR_RETURN(const Json page, client.Audit(after, kPage));
    RETURN_IF_ERROR(take(page.value("items", Json::array())));
    if (const Json damage = page.value("damage", Json()); damage.is_string()) {
      return Fail(Code::kCorrupt, damage.get<std::string>());
    }
    const Json next = page.value("next", Json());
    if (!next.is_number_unsigned()) return page.value("head", Json::object());
    after = next.get<uint64_t>();
  }
}

// A beginning whose end is in the list as well says nothing more.
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

Status List(const Context& context, uint64_t after) {
  Json items = Json::array();
  const auto head = ForEachPage(context, after, [&](const Json& page) -> Status {
    items.insert(items.end(), page.begin(), page.end());
    return {};
  });
  // What is in front of a damage is shown, then the damage told.
  context.PrintList({{"items", context.json() ? items : WithoutBeginnings(items)}}, {{"ENTRY", "sequence"},
                                                                                     {"TIME", "time"},
                                                                                     {"WHO", "actor"},
                                                                                     {"WHAT", "action"},
                                                                                     {"ON", "target"},
                                                                                     {"OUTCOME", "outcome"}});
  if (!head) return Fail(head.error());
  return {};
}

Status Export(const Context& context, const Path& out) {
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
  if (context.json()) context.PrintObject(head);
  context.Say(std::to_string(summary.entries) + " entries are in " + out.string() +
              ", whole; keep the last one's hash " + summary.head.hex() + " elsewhere: it proves all of them");
  return {};
}

Status Verify(const Context& context, const Path& file, const std::string& known) {
  ASSIGN_OR_RETURN(const AuditSummary summary, VerifyAuditFile(RealFileSystem(), file));
  if (!known.empty()) {
    ASSIGN_OR_RETURN(const bool found, HoldsAuditHash(RealFileSystem(), file, known));
    if (!found) {
      return Fail(Code::kCorrupt, "no entry has the hash " + known +
                                      ": entries were cut off, or all was written anew, after it was noted");
    }
  }
  context.PrintObject({{"entries", summary.entries},
                       {"first", Rfc3339(summary.first)},
                       {"last", Rfc3339(summary.last)},
                       {"head", summary.head.hex()}});
  return {};
}

}  // namespace

void AddAuditCommands(CLI::App& app, Context& context) {
  CLI::App* audit = app.add_subcommand("audit", "Who changed what, when: needs an API token of the role admin");
  audit->require_subcommand(1);

  const auto after = std::make_shared<uint64_t>(0);
  CLI::App* list = audit->add_subcommand("list", "Every change, and every attempt that a role did not permit");
  list->add_option("--after", *after, "Only entries behind the one of this number");
  list->callback(context.Run([&context, after] { return List(context, *after); }));

  const auto file = std::make_shared<Path>();
  CLI::App* save = audit->add_subcommand("export", "The whole log into a file, as the aggregator keeps it");
  save->add_option("--out", *file, "The file")->required();
  save->callback(context.Run([&context, file] { return Export(context, *file); }));

  const auto known = std::make_shared<std::string>();
  CLI::App* verify =
      audit->add_subcommand("verify", "Whether a log, or an export of one, is whole; asks no aggregator");
  verify->add_option("FILE", *file, "data_dir/audit.log of an aggregator, or an export")->required();
  verify->add_option("--known", *known, "A hash that was noted earlier: one of the entries must have it");
  verify->callback(context.Run([&context, file, known] { return Verify(context, *file, *known); }));
}

}  // namespace tributary

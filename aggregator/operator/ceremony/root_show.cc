#include <memory>

#include "aggregator/operator/ceremony/root_commands.h"
#include "aggregator/operator/ceremony/root_progress.h"
#include "aggregator/publish/publication_folder.h"

namespace tributary {
namespace {

constexpr Millis kDay{24ll * 3600 * 1000};

Json RowsOf(const std::string& file, const std::string& role, const tuf::RoleKeys& keys, const tuf::Keys& all,
            WallTime expires) {
  Json rows = Json::array();
  for (const std::string& id : keys.key_ids) {
    const auto key = all.find(id);
    rows.push_back({{"role", role},
                    {"threshold", std::to_string(keys.threshold) + " of " + std::to_string(keys.key_ids.size())},
                    {"public_key", key == all.end() ? "" : key->second.public_text},
                    {"named_by", file},
                    {"days_left", (expires.unix_millis - SystemClock().Now().unix_millis) / kDay.count()}});
  }
  return rows;
}

Status Show(const Context& context, const RootOptions& options) {
  FileSystem& files = RealFileSystem();
  ASSIGN_OR_RETURN(const PublicationFolder folder, PublicationFolder::Open(files, options.folder));
  ASSIGN_OR_RETURN(const auto root, tuf::ParseMetadata<tuf::Root>(folder.offline().roots.back()));
  ASSIGN_OR_RETURN(const auto targets, tuf::ParseMetadata<tuf::Targets>(folder.offline().targets));
  Json items = Json::array();
  const auto add = [&](const Json& rows) { items.insert(items.end(), rows.begin(), rows.end()); };
  for (const auto& [role, keys] : root.body.roles)
    add(RowsOf("root " + std::to_string(root.body.version), role, keys, root.body.keys, root.body.expires));
  for (const auto& delegation : targets.body.delegations)
    add(RowsOf("targets " + std::to_string(targets.body.version), delegation.name, delegation.role, targets.body.keys,
               targets.body.expires));
  context.PrintList({{"items", items}}, {{"ROLE", "role"},
                                         {"THRESHOLD", "threshold"},
                                         {"PUBLIC KEY", "public_key"},
                                         {"NAMED BY", "named_by"},
                                         {"DAYS LEFT", "days_left"}});
  context.Say("the first to end is " + folder.first_end().role);
  ASSIGN_OR_RETURN(const auto versions, VersionsOf(files, options.folder, tuf::kRootRole));
  if (context.json() || versions.back() == root.body.version) return {};
  return SayProgress(context, options, versions.back());
}

}  // namespace

void AddRootShow(CLI::App* root, Context& context) {
  const auto options = std::make_shared<RootOptions>();
  CLI::App* command = root->add_subcommand("show", "Keys, thresholds and ends, and what waits for signatures");
  AddFolder(command, *options);
  command->callback(context.Run([&context, options] { return Show(context, *options); }));
}

}  // namespace tributary

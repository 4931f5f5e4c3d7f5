#include "aggregator/operator/command/gateway_commands.h"

#include <algorithm>
#include <array>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tributary {
namespace {

// ---- gateways as people read them

uint64_t Count(const Json& object, const char* key) { return object.value(key, uint64_t{0}); }
std::string Size(const Json& object, const char* key) { return SizeText(Count(object, key)); }

// From the aggregator down, without the aggregator itself where that is known.
std::string PathText(const Json& gateway) {
  const auto path = gateway.at("path").get<std::vector<std::string>>();
  return fmt::format("{}", fmt::join(path.begin() + (path.size() > 1 ? 1 : 0), path.end(), "/"));
}

std::string HeardText(const Json& gateway) {
  const std::string age = AgeText(gateway.value("quiet_seconds", int64_t{0}));
  return gateway.value("late", false) ? "LATE, " + age : age + " ago";
}

std::string OfText(uint64_t part, uint64_t whole) {
  return whole == 0 ? SizeText(part) : SizeText(part) + " of " + SizeText(whole);
}

std::string OldestText(const Json& gateway) {
  const uint64_t seconds = Count(gateway, "oldest_spooled_seconds");
  return Count(gateway, "spooled_uploads") == 0 ? "-" : AgeText(static_cast<int64_t>(seconds));
}

uint64_t LinkTotal(const Json& gateway, const char* direction) {
  uint64_t total = 0;
  for (const Json& link : gateway.at("uplink")) total += Count(link, direction);
  return total;
}

Json LinkRows(const Json& gateway) {
  Json rows = Json::array();
  for (const auto& [purpose, link] : gateway.at("uplink").items()) {
    rows.push_back({{"purpose", purpose},
                    {"up", Size(link, "up")},
                    {"down", Size(link, "down")},
                    {"resent", Size(link, "resent")}});
  }
  return rows;
}

std::string KeyLine(const std::string& key, const std::string& value) { return fmt::format("{:<14}{}\n", key, value); }

}  // namespace

std::string SizeText(uint64_t bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return unit == 0 || value >= 100 ? fmt::format("{:.0f} {}", value, kUnits[unit])
                                   : fmt::format("{:.3g} {}", value, kUnits[unit]);
}

std::string AgeText(int64_t seconds) {
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7'200) return fmt::format("{} min", seconds / 60);
  if (seconds < 172'800) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / 86'400);
}

namespace {

// An object of texts for each gateway, in the order of the tree.
Json GatewayRows(const Json& items) {
  std::vector<Json> sorted(items.begin(), items.end());
  std::ranges::sort(sorted, {}, [](const Json& gateway) { return gateway.at("path"); });
  Json rows = Json::array();
  for (const Json& gateway : sorted) {
    const Json& trouble = gateway.at("trouble");
    rows.push_back({{"gateway", PathText(gateway)},
                    {"heard", HeardText(gateway)},
                    {"clients", gateway.at("connected_clients")},
                    {"spool", OfText(Count(gateway, "spooled_bytes"), Count(gateway, "spool_limit_bytes"))},
                    {"oldest", OldestText(gateway)},
                    {"disk", Count(gateway, "disk_total_bytes") == 0 ? "-" : Size(gateway, "disk_free_bytes")},
                    {"dead", gateway.at("dead_letters")},
                    {"up", SizeText(LinkTotal(gateway, "up"))},
                    {"down", SizeText(LinkTotal(gateway, "down"))},
                    {"publication", gateway.at("publication")},
                    {"account", gateway.value("holds", false) ? "holds" : "DOES NOT HOLD"},
                    {"trouble", trouble.is_null()           ? Json("-")
                                : trouble["code"].is_null() ? trouble["sentence"]
                                                            : trouble["code"]}});
  }
  return rows;
}

// Its place, its link, its spool, its account and its trouble with what to do about it.
std::string RenderGateway(const Json& gateway) {
  const auto path = gateway.at("path").get<std::vector<std::string>>();
  std::string out =
      KeyLine("gateway", gateway.at("id").get<std::string>()) +
      KeyLine("place", fmt::format("{}", fmt::join(path, " > "))) +
      KeyLine("heard", HeardText(gateway) + ", first " + gateway.at("first_seen").get<std::string>()) +
      KeyLine("clients", std::to_string(Count(gateway, "connected_clients"))) +
      KeyLine("publication", std::to_string(Count(gateway, "publication"))) +
      KeyLine("spool", OfText(Count(gateway, "spooled_bytes"), Count(gateway, "spool_limit_bytes")) + ", " +
                           std::to_string(Count(gateway, "spooled_uploads")) + " uploads, oldest " +
                           OldestText(gateway)) +
      KeyLine("disk", Count(gateway, "disk_total_bytes") == 0
                          ? "-"
                          : Size(gateway, "disk_free_bytes") + " free of " + Size(gateway, "disk_total_bytes")) +
      KeyLine("dead letters", std::to_string(Count(gateway, "dead_letters")));
  const Json& trouble = gateway.at("trouble");
  if (trouble.is_null()) {
    out += KeyLine("trouble", "none");
  } else {
    out += KeyLine("trouble", (trouble["code"].is_null() ? "" : trouble["code"].get<std::string>() + ": ") +
                                  trouble["sentence"].get<std::string>());
    if (!trouble["remedy"].is_null()) out += KeyLine("", trouble["remedy"].get<std::string>());
  }
  out += "\nIts uplink since it started\n" +
         RenderTable(LinkRows(gateway), Columns("PURPOSE purpose, UP up, DOWN down, OF UP RESENT resent"));
  out += "\nWhere every upload went\n" + RenderTable(gateway.at("accounts"), AccountColumns());
  while (out.ends_with('\n')) out.pop_back();
  return out;
}

}  // namespace

void AddGatewayCommands(CLI::App& app, Context& context) {
  CLI::App* gateways = AddGroup(app, "gateways", "Gateways of the whole tree, as they last described themselves");
  gateways->add_subcommand("list", "One line each, in the order of the tree")
      ->callback(context.Tell(&ApiClient::Gateways, [](const Json& list) {
        std::string table = RenderTable(
            GatewayRows(list.at("items")),
            Columns(
                "GATEWAY gateway, HEARD heard, CLIENTS clients, SPOOL spool, OLDEST oldest, DISK FREE disk, DEAD dead, "
                "UP up, DOWN down, PUBLICATION publication, ACCOUNT account, TROUBLE trouble"));
        table.pop_back();  // the last line break, which comes by itself
        return table;
      }));
  CLI::App* show = gateways->add_subcommand("show", "One gateway: its place, link, spool, account and trouble");
  auto id = RequiredName(*show, "gateway", "Its id");
  show->callback(context.Tell([id](ApiClient& client) { return client.Gateway(*id); }, &RenderGateway));

  CLI::App* revoke =
      gateways->add_subcommand("revoke", "Exclude a gateway for good: all its certificates stop counting");
  id = RequiredName(*revoke, "gateway", "Its id");
  const auto reason = std::make_shared<std::string>();
  revoke->add_option("--reason", *reason, "For the record: 1 to 256 bytes")->required();
  revoke->callback(context.Tell([id, reason](ApiClient& client) { return client.RevokeGateway(*id, *reason); },
                                [id](const Json&) {
                                  return fmt::format(
                                      "gateway {} is revoked; the member it connects to refuses it once that has the "
                                      "next publication",
                                      *id);
                                }));
}

}  // namespace tributary

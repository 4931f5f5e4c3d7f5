#include "aggregator/api/json_gateways.h"

#include <nlohmann/json.hpp>

#include "aggregator/api/json_fleet.h"
#include "aggregator/api/json_time.h"

namespace tributary {
namespace {

using Json = nlohmann::ordered_json;

std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// "code: sentence" with the code's remedy; a gateway of another version may name a code that this one does not know.
Json Trouble(const std::string& trouble) {
  if (trouble.empty()) return {};
  const size_t colon = trouble.find(':');
  const auto code = CodeByName(trouble.substr(0, colon));
  const size_t text = colon == std::string::npos ? 0 : trouble.find_first_not_of(' ', colon + 1);
  return {{"code", code ? Json(Name(*code)) : Json()},
          {"sentence", code && text != std::string::npos ? trouble.substr(text) : trouble},
          {"remedy", code ? Json(Describe(*code).remedy) : Json()}};
}

Json Links(const GatewayState& report) {
  Json links = Json::object();
  for (const LinkPurpose purpose : kLinkPurposes) {
    const auto found = report.uplink.find(purpose);
    const LinkBytes bytes = found == report.uplink.end() ? LinkBytes{} : found->second;
    links[std::string(PurposeName(purpose))] = {{"up", bytes.up}, {"down", bytes.down}, {"resent", bytes.resent}};
  }
  return links;
}

AccountRecord Record(const KindAccount& account) {
  return {.offered = account.offered,
          .delivered = account.delivered,
          .spooled = account.spooled,
          .in_flight = account.in_flight,
          .duplicate = account.duplicate,
          .refused = account.refused,
          .dropped = account.dropped};
}

// As the aggregator's own account is written, in json_fleet.cc.
Json Accounts(std::span<const std::pair<UploadKind, AccountRecord>> accounts) {
  return Json::parse(ToJson(accounts)).at("items");
}

Json Gateway(const GatewayRecord& gateway) {
  const GatewayState& report = gateway.report;
  Json path = Json::array();
  for (const DeviceId& step : gateway.path) path.push_back(step.text());
  std::vector<std::pair<UploadKind, AccountRecord>> accounts;
  uint64_t spooled = 0;
  uint64_t delivered = 0;
  bool holds = true;
  for (size_t i = 0; i < std::size(kUploadKinds); ++i) {
    const KindAccount& account = report.accounts[i];
    accounts.emplace_back(kUploadKinds[i], Record(account));
    spooled += account.spooled;
    delivered += account.delivered;
    holds = holds && account.Balances();
  }
  return {{"id", report.gateway.text()},
          {"role", "gateway"},
          {"parent", report.parent.empty() ? Json() : Json(report.parent.text())},
          {"path", std::move(path)},
          {"via", gateway.via.empty() ? Json() : Json(gateway.via.text())},
          {"first_seen", Rfc3339(gateway.first_seen)},
          {"last_seen", Rfc3339(gateway.last_seen)},
          {"reported", Rfc3339(gateway.made)},
          {"quiet_seconds", gateway.quiet.count() / 1000},
          {"late", gateway.late()},
          {"publication", report.publication_number},
          {"connected_clients", report.connected_clients},
          {"spooled_uploads", spooled},
          {"spooled_bytes", report.spool_bytes},
          {"spool_limit_bytes", report.spool_limit_bytes},
          {"oldest_spooled_seconds", report.oldest_spooled_millis / 1000},
          {"delivered_uploads", delivered},
          {"dead_letters", report.dead_letters},
          {"disk_free_bytes", report.disk_free_bytes},
          {"disk_total_bytes", report.disk_total_bytes},
          {"uplink", Links(report)},
          {"accounts", Accounts(accounts)},
          {"holds", holds},
          {"trouble", Trouble(report.trouble)}};
}

}  // namespace

std::string ToJson(const GatewayRecord& gateway) { return Dump(Gateway(gateway)); }

std::string ToJson(std::span<const GatewayRecord> gateways, const std::optional<std::string>& next_cursor) {
  Json items = Json::array();
  for (const GatewayRecord& gateway : gateways) items.push_back(Gateway(gateway));
  return Dump({{"items", std::move(items)}, {"next_cursor", next_cursor ? Json(*next_cursor) : Json()}});
}

}  // namespace tributary

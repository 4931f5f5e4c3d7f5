#include "aggregator/api/gateway_routes.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "aggregator/watch/watch.h"

namespace tributary {
namespace {

Json AccountJson(const KindAndAccount& counted) {
  const auto& [kind, account] = counted;
  return {{"kind", KindName(kind)},
          {"offered", account.offered},
          {"delivered", account.delivered},
          {"spooled", account.spooled},
          {"in_flight", account.in_flight},
          {"duplicate", account.duplicate},
          {"refused", ByReason(account.refused)},
          {"dropped", ByReason(account.dropped)},
          {"holds", account.Balances()}};
}

// "code: sentence" with the code's remedy; a gateway of another version may name a code that this one does not know.
Json TroubleJson(const std::string& trouble) {
  if (trouble.empty()) return {};
  const size_t colon = trouble.find(':');
  const auto code = CodeByName(trouble.substr(0, colon));
  const size_t text = colon == std::string::npos ? 0 : trouble.find_first_not_of(' ', colon + 1);
  return {{"code", code ? Json(Name(*code)) : Json()},
          {"sentence", code && text != std::string::npos ? trouble.substr(text) : trouble},
          {"remedy", code ? Json(Describe(*code).remedy) : Json()}};
}

Json LinksJson(const GatewayState& report) {
  Json links = Json::object();
  for (const LinkPurpose purpose : kLinkPurposes) {
    const auto found = report.uplink.find(purpose);
    const LinkBytes bytes = found == report.uplink.end() ? LinkBytes{} : found->second;
    links[std::string(PurposeName(purpose))] = {{"up", bytes.up}, {"down", bytes.down}, {"resent", bytes.resent}};
  }
  return links;
}

Json GatewayJson(const GatewayRecord& gateway) {
  const GatewayState& report = gateway.report;
  Json path = Json::array();
  for (const DeviceId& step : gateway.path) path.push_back(step.text());
  Json accounts = Json::array();
  uint64_t spooled = 0;
  uint64_t delivered = 0;
  bool holds = true;
  for (size_t i = 0; i < std::size(kUploadKinds); ++i) {
    const KindAccount& account = report.accounts[i];
    accounts.push_back(AccountJson({kUploadKinds[i], account}));
    spooled += account.spooled;
    delivered += account.delivered;
    holds = holds && account.Balances();
  }
  return {{"id", report.gateway.text()},
          {"role", "gateway"},
          {"parent", TextOrNull(report.parent.text())},
          {"path", std::move(path)},
          {"via", TextOrNull(gateway.via.text())},
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
          {"uplink", LinksJson(report)},
          {"accounts", std::move(accounts)},
          {"holds", holds},
          {"trouble", TroubleJson(report.trouble)}};
}

Result<std::string> PageOfGateways(const ApiParts& parts, const HttpRequest& request) {
  ASSIGN_OR_RETURN(const uint64_t limit, PageLimit(request));
  ASSIGN_OR_RETURN(const DeviceId after, MemberCursor(request));
  const auto id_of = [](const GatewayRecord& gateway) { return gateway.report.gateway; };
  const auto read = [parts](const Slice<DeviceId>& slice) { return parts.watch.Gateways(slice); };
  ASSIGN_OR_RETURN(auto gateways, ReadPage(parts.core, after, limit, read, id_of));
  return Dump(PageToJson(std::move(gateways), limit, &GatewayJson,
                         [&](const GatewayRecord& last) { return id_of(last).text(); }));
}

}  // namespace

std::string ToJson(const GatewayRecord& gateway) { return Dump(GatewayJson(gateway)); }

std::string ToJson(std::span<const KindAndAccount> accounts) { return Dump(ListToJson(accounts, &AccountJson)); }

void AddGatewayRoutes(HttpServer& server, const ApiParts& parts) {
  AddView(server, "/api/v1/gateways", [parts](const HttpRequest& request) { return PageOfGateways(parts, request); });

  AddView(server, "/api/v1/gateways/{gateway}", [parts](const HttpRequest& request) -> Result<std::string> {
    ASSIGN_OR_RETURN(const DeviceId id, MemberOfPath(request, "gateway"));
    ASSIGN_OR_RETURN(const GatewayRecord gateway, parts.core.Run([parts, id] { return parts.watch.FindGateway(id); }));
    return ToJson(gateway);
  });

  AddView(server, "/api/v1/account", [parts](const HttpRequest&) -> Result<std::string> {
    using Accounts = std::vector<KindAndAccount>;
    ASSIGN_OR_RETURN(const Accounts accounts, parts.core.Run([parts]() -> Result<Accounts> {
      Accounts all;
      for (const UploadKind kind : kUploadKinds) all.emplace_back(kind, parts.watch.Account(kind));
      return all;
    }));
    return ToJson(accounts);
  });
}

}  // namespace tributary

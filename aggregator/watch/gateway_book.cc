#include "aggregator/watch/gateway_book.h"

#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr size_t kMostGateways = 10'000;
constexpr Millis kForgetAfter = std::chrono::hours(24 * 30);

}  // namespace

Result<GatewayBook> GatewayBook::Open(GatewayTable& table, WallTime now) {
  GatewayBook book;
  ASSIGN_OR_RETURN(auto gateways, table.All());
  for (GatewayRecord& gateway : gateways) {
    if (gateway.last_seen + kForgetAfter < now) continue;
    const DeviceId id = gateway.report.gateway;
    book.gateways_.emplace(id, std::move(gateway));
  }
  // Tidying may wait for a disk that takes it.
  if (book.gateways_.size() < gateways.size()) (void)table.ForgetBefore(now + -kForgetAfter);
  return book;
}

void GatewayBook::Saw(const std::vector<GatewayState>& reports, const DeviceId& via, WallTime now) {
  for (const GatewayState& report : reports) {
    const WallTime made = now + -Millis(static_cast<int64_t>(report.age_millis));
    auto known = gateways_.find(report.gateway);
    if (known == gateways_.end()) {
      if (gateways_.size() >= kMostGateways) {
        LogWarning("gateway.not_remembered", {{"gateway", report.gateway.text()}, {"via", via.text()}});
        continue;
      }
      known = gateways_.emplace(report.gateway, GatewayRecord{}).first;
      known->second.first_seen = now;
    } else if (made < known->second.made && known->second.made <= now) {
      continue;  // an older word, by another way; a time that lies ahead is left from a clock that was set back
    }
    known->second.report = report;
    known->second.via = via;
    known->second.made = made;
    known->second.last_seen = now;
    unsaved_.insert(report.gateway);
  }
}

std::vector<GatewayRecord> GatewayBook::All(WallTime now) const {
  std::vector<GatewayRecord> gateways;
  for (const auto& [id, gateway] : gateways_) {
    GatewayRecord& listed = gateways.emplace_back(gateway);
    listed.path = PathOf(gateway);
    listed.quiet = Millis(std::max<int64_t>(0, now.unix_millis - gateway.made.unix_millis));
  }
  return gateways;
}

std::vector<DeviceId> GatewayBook::PathOf(const GatewayRecord& gateway) const {
  std::vector<DeviceId> path = {gateway.report.gateway};
  // A gateway may name a parent that it had earlier, so that the path makes a ring.
  for (const GatewayRecord* at = &gateway; path.size() < limits::kPathHops && !at->report.parent.empty();) {
    path.push_back(at->report.parent);
    const auto parent = gateways_.find(at->report.parent);
    if (parent == gateways_.end()) break;
    at = &parent->second;
  }
  std::ranges::reverse(path);
  return path;
}

Status GatewayBook::Save(GatewayTable& table) const {
  for (const DeviceId& id : unsaved_) RETURN_IF_ERROR(table.Save(gateways_.at(id)));
  return {};
}

}  // namespace tributary

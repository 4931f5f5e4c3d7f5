#include "gateway/relay/gateway_state_book.h"

#include <algorithm>

#include "protocol/base/limits.h"

namespace tributary {
namespace {

// One place is for the gateway's own.
constexpr size_t kMost = limits::kGatewayReports - 1;

}  // namespace

void GatewayStateBook::Take(const std::vector<GatewayState>& reports) {
  const Millis now = clock_.Monotonic();
  for (const GatewayState& report : reports) {
    const auto age = std::min<uint64_t>(report.age_millis, static_cast<uint64_t>(kKeep.count()) + 1);
    const Millis made = now - Millis(static_cast<int64_t>(age));
    if (report.gateway == self_ || now - made > kKeep) continue;
    // A gateway that was moved may be told of by two: the newer word counts.
    if (const auto known = entries_.find(report.gateway); known != entries_.end() && known->second.made > made)
      continue;
    entries_[report.gateway] = {report, made};
  }
  Forget();
}

std::vector<GatewayState> GatewayStateBook::Reports() {
  Forget();
  std::vector<GatewayState> reports;
  const Millis now = clock_.Monotonic();
  for (const auto& [gateway, entry] : entries_) {
    reports.push_back(entry.report);
    reports.back().age_millis = static_cast<uint64_t>((now - entry.made).count());
  }
  return reports;
}

void GatewayStateBook::Forget() {
  const Millis now = clock_.Monotonic();
  std::erase_if(entries_, [&](const auto& entry) { return now - entry.second.made > kKeep; });
  while (entries_.size() > kMost) {
    entries_.erase(
        std::ranges::min_element(entries_, [](const auto& a, const auto& b) { return a.second.made < b.second.made; }));
  }
}

}  // namespace tributary

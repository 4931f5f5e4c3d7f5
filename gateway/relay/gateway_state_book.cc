#include "gateway/relay/gateway_state_book.h"

#include <algorithm>

#include "protocol/base/limits.h"

namespace tributary {
namespace {

// One place is for the gateway's own.
constexpr size_t kMost = limits::kGatewayReports - 1;

}  // namespace

void GatewayStateBook::Take(const std::vector<GatewayState>& states) {
  const Millis now = clock_.Monotonic();
  for (const GatewayState& state : states) {
    const auto age = std::min<uint64_t>(state.age_millis, static_cast<uint64_t>(kKeep.count()) + 1);
    const Millis made = now - Millis(static_cast<int64_t>(age));
    if (state.gateway == self_ || now - made > kKeep) continue;
    // Two gateways may tell of one that was moved: the newer word counts.
    if (const auto known = entries_.find(state.gateway); known != entries_.end() && known->second.made > made) continue;
    entries_[state.gateway] = {state, made};
  }
  Forget();
}

std::vector<GatewayState> GatewayStateBook::States() {
  Forget();
  std::vector<GatewayState> states;
  const Millis now = clock_.Monotonic();
  for (const auto& [gateway, entry] : entries_) {
    states.push_back(entry.state);
    states.back().age_millis = static_cast<uint64_t>((now - entry.made).count());
  }
  return states;
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

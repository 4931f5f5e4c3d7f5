#include "aggregator/privacy/spend.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "aggregator/privacy/gaussian_curve.h"
#include "aggregator/privacy/privacy_loss.h"

namespace tributary {
namespace {

constexpr double kLeastDelta = 1e-12;

// The dearest rounds that a device can be in, and all that were lost: nobody remembers who was in those.
double GaussianSpent(const PrivacyTerms& terms, std::span<const Charge> charges) {
  std::vector<double> costs;  // z^-2
  double certain = 0;
  for (const Charge& charge : charges) {
    const double cost = 1 / (charge.multiplier * charge.multiplier);
    if (charge.kind == Charge::Kind::kRound) {
      costs.push_back(cost);
    } else {
      certain += static_cast<double>(charge.count) * cost;
    }
  }
  std::ranges::sort(costs, std::greater<>());
  // The rounds of a run with correlated noise were paid for with the run.
  if (terms.accounting == Accounting::kCorrelated) costs.clear();
  for (size_t i = 0; i < std::min<uint64_t>(costs.size(), terms.participations); ++i) certain += costs[i];
  return certain > 0 ? GaussianEpsilon(1 / std::sqrt(certain), terms.delta) : 0;
}

double CoinSpent(const PrivacyTerms& terms, std::span<const Charge> charges) {
  std::map<std::pair<double, double>, uint64_t> kinds;
  for (const Charge& charge : charges) kinds[{charge.inclusion, charge.multiplier}] += charge.count;
  std::vector<SampledRounds> sampled;
  for (const auto& [kind, rounds] : kinds) sampled.push_back({kind.first, kind.second, rounds});
  if (sampled.empty()) return 0;
  return std::min(PrivacyLossEpsilon(sampled, terms.delta), RenyiEpsilon(sampled, terms.delta));
}

}  // namespace

Status PrivacyTerms::Check() const {
  if (!(epsilon > 0) || std::isinf(epsilon)) return Fail(Code::kInvalidArgument, "epsilon is above 0, not {}", epsilon);
  if (!(delta >= kLeastDelta && delta < 1)) {
    return Fail(Code::kInvalidArgument, "delta is between {} and 1, not {}", kLeastDelta, delta);
  }
  if (participations == 0) return Fail(Code::kInvalidArgument, "participations are at least 1");
  return {};
}

Status Charge::Check() const {
  if (!(multiplier >= kLeastMultiplier) || std::isinf(multiplier)) {
    return Fail(Code::kInvalidArgument, "the noise multiplier is at least {}, not {}", kLeastMultiplier, multiplier);
  }
  if (!(inclusion > 0 && inclusion <= 1)) {
    return Fail(Code::kInvalidArgument, "the probability of inclusion is above 0 and at most 1, not {}", inclusion);
  }
  if (count == 0 || (count > 1 && kind != Kind::kLost)) return Fail(Code::kInvalidArgument, "count {} is wrong", count);
  return {};
}

double SpentEpsilon(const PrivacyTerms& terms, std::span<const Charge> charges) {
  return terms.accounting == Accounting::kPrivateCoin ? CoinSpent(terms, charges) : GaussianSpent(terms, charges);
}

}  // namespace tributary

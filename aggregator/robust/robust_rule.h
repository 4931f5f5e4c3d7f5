#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "aggregator/records/robust_policy.h"
#include "aggregator/robust/distances.h"
#include "aggregator/robust/update_set.h"
#include "aggregator/sum/weighted_sum.h"
#include "protocol/base/result.h"

namespace tributary {

// All that a rule goes by. It borrows what it names.
struct RobustInput {
  const UpdateSet& updates;  // or groups of them
  const RobustPolicy& policy;
  std::span<const ValueRange> statistics = {};             // ascending; no distance looks at them
  std::span<const float> reference = {};                   // of centred clipping; empty: 0
  double bound = std::numeric_limits<double>::infinity();  // of the distance from it
};

// Makes one vector of a round's updates. What comes out is a sum of integers with a weight, as the mean's is, so all that
// follows a sum (optimiser, digest, version) is the same for every rule. The same updates give the same bits in whatever
// order they came. Another rule is one more class and one line in RobustRuleOf. Thread safe.
class RobustRule {
 public:
  virtual ~RobustRule() = default;
  // `like`: a sum of the same shape, scale and bounds, in which the updates fit. kInvalidArgument: too few updates for the
  // rule (CheckCount); what the updates' Read gives.
  virtual Result<WeightedSum> Combine(const RobustInput& input, const WeightedSum& like) const = 0;
};

// It lives as long as the process.
const RobustRule& RobustRuleOf(RobustRuleName rule);

// Smoothed Weiszfeld (Pillutla, Kakade, Harchaoui 2022, "Robust Aggregation for Federated Learning", algorithm 1): `steps`
// steps towards the geometric median of the updates with these weights, from 0. Gives the shares of the updates in the
// point, which sum to 1. `smoothing`: a distance below it counts as it; in units of the table. The distances from each
// point follow from those between the updates, so the updates are not read again.
std::vector<double> WeiszfeldShares(const DistanceTable& table, std::span<const double> weights, double smoothing,
                                    uint32_t steps);

// The sum with total weight 1 of updates by these shares, which are rounded to multiples of 2^-30 that sum to 1.
Result<WeightedSum> CombineByShares(const UpdateSet& updates, std::span<const double> shares, const WeightedSum& like);

// Krum (Blanchard et al. 2017): `count` of the updates, those with the least sum of squared distances to their n - f - 2
// nearest; with equal ones the earlier. With `again` (Bulyan) each one is chosen among those that are left. In order.
enum class KrumRounds : uint8_t { kOnce, kAgain };
std::vector<size_t> KrumChoice(const DistanceTable& table, uint64_t hostile, size_t count, KrumRounds rounds);

}  // namespace tributary

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/field.h"
#include "protocol/base/result.h"

namespace tributary {

// How a round's updates become one: the rules of aggregator/robust/rules. Their order is that of their names.
enum class RobustRuleName : uint8_t {
  kClip,             // mean of updates, each scaled down to the last round's median norm
  kCentredClip,      // the same around the last aggregate
  kGeometricMedian,  // the point with the least sum of distances (RFA)
  kMedian,           // of each value by itself
  kTrimmedMean,      // of each value by itself, without the largest and smallest
  kKrum,             // the one update whose neighbours are closest
  kMultiKrum,        // the mean of several such
  kBulyan,           // of several such, the values around the median
};

// Those that are taken together before the rule looks at them.
enum class RobustGroups : uint8_t {
  kBuckets,   // so many at a time as `bucket` says, at random by the round's nonce
  kGateways,  // those that came through the same gateway
};

// The rule of a task against updates that are wrong on purpose. Value type with a table of its fields.
struct RobustPolicy {
  RobustRuleName rule = RobustRuleName::kClip;
  uint32_t hostile_percent = 20;
  uint32_t trim_percent = 20;
  RobustGroups groups = RobustGroups::kBuckets;
  uint32_t bucket = 1;
  uint32_t steps = 32;
  double smoothing = 1e-6;
  bool operator==(const RobustPolicy&) const = default;
};
std::vector<Field> FieldsOf(RobustPolicy& policy);

std::string_view RobustRuleText(RobustRuleName rule);
// Whether the rule must see all updates at once: they are kept on disk until the round ends.
bool KeepsUpdates(const RobustPolicy& policy);
// Whether an update is compared with the last aggregate.
inline bool HasReference(const RobustPolicy& policy) { return policy.rule == RobustRuleName::kCentredClip; }

// So many updates a round may keep, and so many groups the rules may take that measure every pair.
inline constexpr uint32_t kMostKept = 4096;
inline constexpr uint32_t kMostPaired = 256;

// `percent` of `count`, rounded down.
constexpr uint64_t ShareOf(uint64_t count, uint32_t percent) { return count * percent / 100; }
// Whether the rule can work with so many groups of updates. kInvalidArgument says what it needs.
Status CheckCount(const RobustPolicy& policy, uint64_t groups);
// The same of every round that closes with `minimum` to `goal` contributions. The message begins with the field's name.
Status CheckRobust(const RobustPolicy& policy, uint32_t minimum, uint32_t goal);

// What the rule costs where devices have different data, as measured, in a sentence or two; empty: nothing to speak of.
std::string RobustWarning(const RobustPolicy& policy);

}  // namespace tributary

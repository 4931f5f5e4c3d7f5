#include "aggregator/round/round_rule.h"

#include <algorithm>
#include <cmath>

#include <fmt/ranges.h>

#include "aggregator/release/task_book.h"
#include "aggregator/sum/weighted_sum.h"
#include "protocol/envelope/remembered_versions.h"

namespace tributary {

RoundRule::Due RoundRule::DueNow(const RoundRecord& round, WallTime now) const {
  if (IsFull(round)) return Due::kClose;
  if (now < round.deadline) return Due::kNothing;
  if (round.contributions >= policy_.minimum) return Due::kClose;
  if (policy_.below_minimum == BelowMinimum::kExtend && !round.extended) return Due::kExtend;
  return policy_.below_minimum == BelowMinimum::kClose && round.contributions > 0 ? Due::kClose : Due::kFail;
}

double RoundRule::InclusionOf(uint64_t seen, uint64_t contributions) const {
  if (policy_.over_selection == 0) return policy_.inclusion;
  const double wanted =
      policy_.over_selection *
      (policy_.report_goal - std::min<double>(policy_.report_goal, static_cast<double>(contributions)));
  return seen == 0 || wanted == 0 ? 1 : std::min(1.0, wanted / static_cast<double>(seen));
}

std::string RoundRule::WhyInDoubt(const RoundRecord& round, uint64_t seen) const {
  const double inclusion = round.inclusion > 0 ? round.inclusion : policy_.inclusion;
  const auto asked = static_cast<uint64_t>(std::llround(static_cast<double>(seen) * inclusion));
  if (std::max(asked, round.contributions) >= policy_.report_goal) return "";
  return fmt::format(
      "{} devices were seen in the last {} s, of which the round asks about {}; {} updates close it, and {} are the "
      "least at "
      "its deadline",
      seen, policy_.deadline_seconds, asked, policy_.report_goal, policy_.minimum);
}

Status RoundRule::CheckStaleness(ModelVersion base, const LiveTask& task) const {
  if (base >= AcceptedBases(task).front()) return {};
  return Fail(Code::kStaleVersion, "version {} is no longer trained on; the latest is {}", Number(base),
              Number(task.latest.version));
}

std::vector<ModelVersion> RoundRule::AcceptedBases(const LiveTask& task) const {
  const uint64_t latest = Number(task.latest.version);
  const uint64_t behind = std::min(StalenessOf(policy_), latest - std::min(latest, Number(task.line_begin)));
  std::vector<ModelVersion> accepted;
  for (uint64_t version = latest - behind; version <= latest; ++version) accepted.push_back(ModelVersion{version});
  return accepted;
}

uint32_t RoundRule::ShareOf(uint64_t staleness) {
  return static_cast<uint32_t>(std::llround(kWholeShare / std::sqrt(1 + static_cast<double>(staleness))));
}

uint64_t RoundRule::Remembered() const { return std::max(kRememberedVersions, StalenessOf(policy_) + 1); }

std::string RoundRule::WhyOutOfReach(const RoundRecord& round, const Outlook& outlook) const {
  uint64_t lost = 0;
  std::vector<std::string> reasons;
  for (const auto& [code, count] : outlook.lost) {
    lost += count;
    reasons.push_back(fmt::format("{} {}", count, Name(code)));
  }
  const uint64_t most = outlook.contributed + outlook.possible;
  const uint64_t least = policy_.below_minimum == BelowMinimum::kClose ? 1 : policy_.minimum;
  if (most >= least || most + lost < policy_.minimum) return "";
  return fmt::format("{} of {} devices cannot train version {}: {}; at most {} updates can come, {} are needed", lost,
                     most + lost, Number(round.base), fmt::join(reasons, ", "), most, policy_.minimum);
}

}  // namespace tributary

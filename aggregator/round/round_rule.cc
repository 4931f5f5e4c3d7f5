#include "aggregator/round/round_rule.h"

#include <fmt/ranges.h>

#include "aggregator/release/task_book.h"

namespace tributary {

RoundRule::RoundRule(const TaskRecord& task) : policy_(task.policy), max_weight_(MaxRoundWeight(task)) {}

RoundRule::Due RoundRule::DueNow(const RoundRecord& round, WallTime now) const {
  if (IsFull(round)) return Due::kClose;
  if (now < round.deadline) return Due::kNothing;
  return round.contributions >= policy_.minimum ? Due::kClose : Due::kFail;
}

Status RoundRule::CheckStaleness(ModelVersion base, ModelVersion latest) const {
  if (base >= latest) return {};
  return Fail(Code::kStaleVersion, "version {} is no longer trained on; the latest is {}", Number(base),
              Number(latest));
}

std::string RoundRule::WhyOutOfReach(const RoundRecord& round, const Outlook& outlook) const {
  uint64_t lost = 0;
  std::vector<std::string> reasons;
  for (const auto& [code, count] : outlook.lost) {
    lost += count;
    reasons.push_back(fmt::format("{} {}", count, Name(code)));
  }
  const uint64_t most = outlook.contributed + outlook.possible;
  if (most >= policy_.minimum || most + lost < policy_.minimum) return "";
  return fmt::format("{} of {} devices cannot train version {}: {}; at most {} updates can come, {} are needed", lost,
                     most + lost, Number(round.base), fmt::join(reasons, ", "), most, policy_.minimum);
}

}  // namespace tributary

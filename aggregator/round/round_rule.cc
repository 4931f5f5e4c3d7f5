#include "aggregator/round/round_rule.h"

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

}  // namespace tributary

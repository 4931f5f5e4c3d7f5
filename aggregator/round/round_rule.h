#pragma once

#include <cstdint>
#include <vector>

#include "aggregator/records/records.h"
#include "aggregator/round/outlook.h"
#include "protocol/base/clock.h"
#include "protocol/base/result.h"

namespace tributary {

// Decides for one task what rounds are made of: which updates count, when a round ends, and how. Everything that
// depends on the kind of round asks it. There is one kind: a round closes when its goal is reached, or at its deadline
// when it has the minimum; with fewer it fails; only updates of the latest version count. A kind that takes stale
// updates needs more: RoundKeeper keeps contributions under the base of the round, not of the update. Decides only: it
// changes nothing and remembers nothing. Value type.
class RoundRule {
 public:
  explicit RoundRule(const TaskRecord& task);

  enum class Due : uint8_t {
    kNothing,
    kClose,  // a version is made of what is in the sum
    kFail,   // the round ends without a version
  };
  // Whether a round that collects is to end now, and how.
  Due DueNow(const RoundRecord& round, WallTime now) const;
  // No more updates are taken; the round waits for its end.
  bool IsFull(const RoundRecord& round) const { return round.contributions >= policy_.report_goal; }
  // Whether an update that was made from version `base` is still of use. kStaleVersion.
  Status CheckStaleness(ModelVersion base, ModelVersion latest) const;
  // The versions that devices may train from, for the publication.
  std::vector<ModelVersion> AcceptedBases(ModelVersion latest) const { return {latest}; }
  // The most weight that one round can sum: the sum's numbers must not overflow. kInvalidArgument.
  Result<uint64_t> MaxWeight() const { return max_weight_; }
  // Why the round can get no more to its minimum, in one sentence; empty: it can. A minimum that is beyond all who are
  // known is none of these: others may enrol.
  std::string WhyOutOfReach(const RoundRecord& round, const Outlook& outlook) const;

 private:
  RoundPolicy policy_;
  Result<uint64_t> max_weight_;
};

}  // namespace tributary

#pragma once

#include <cstdint>
#include <vector>

#include "aggregator/records/records.h"
#include "aggregator/round/outlook.h"
#include "protocol/base/clock.h"
#include "protocol/base/result.h"

namespace tributary {

struct LiveTask;

// Decides for one task what rounds are made of: which updates count, when a round ends, and how. Everything that
// depends on the kind of round asks it. A round closes when its goal is reached, or at its deadline
// when it has the minimum; with fewer it fails. In a synchronous one only updates of the latest version count, in a
// buffered one also those that are a few versions behind. Decides only: it changes nothing and remembers nothing. Value
// type.
class RoundRule {
 public:
  explicit RoundRule(const TaskRecord& task) : policy_(task.policy) {}

  enum class Due : uint8_t {
    kNothing,
    kClose,   // a version is made of what is in the sum
    kFail,    // the round ends without a version
    kExtend,  // its deadline is moved on
  };
  // Whether a round that collects is to end now, and how.
  Due DueNow(const RoundRecord& round, WallTime now) const;
  // No more updates are taken; the round waits for its end.
  bool IsFull(const RoundRecord& round) const { return round.contributions >= policy_.report_goal; }
  // Whether an update that was made from version `base` is still of use. kStaleVersion.
  Status CheckStaleness(ModelVersion base, const LiveTask& task) const;
  // The versions that devices may train from, for the publication: in order, the latest is the last. None is from before
  // a rollback.
  std::vector<ModelVersion> AcceptedBases(const LiveTask& task) const;
  // How much an update counts that is so many versions behind, in a sum's units: 2^30 / sqrt(1 + staleness), rounded.
  static uint32_t ShareOf(uint64_t staleness);
  // How many versions back contributions must be remembered, so that none counts twice.
  uint64_t Remembered() const;
  // The probability with which a device is in a round: of `seen` devices as many are asked as the policy says, beside the
  // updates that the round begins with.
  double InclusionOf(uint64_t seen, uint64_t contributions) const;
  // Why the round may not get to its goal, when `seen` devices were seen within the time that a round has; empty: it may.
  std::string WhyInDoubt(const RoundRecord& round, uint64_t seen) const;
  // Why the round can get no more to its minimum, in one sentence; empty: it can. A minimum that is beyond all who are
  // known is none of these: others may enrol.
  std::string WhyOutOfReach(const RoundRecord& round, const Outlook& outlook) const;

 private:
  RoundPolicy policy_;
};

}  // namespace tributary

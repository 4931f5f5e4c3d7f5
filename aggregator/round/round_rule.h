#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "aggregator/records/records.h"
#include "protocol/base/clock.h"
#include "protocol/base/result.h"

namespace tributary {

// Decides for one task what rounds are made of: which updates count, when a round ends, and how. Everything that
// depends on the kind of round asks it, so another kind is one more of these and one line in RuleOf. A kind that takes
// stale updates needs more: RoundKeeper keeps contributions under the base of the round, not of the update. Decides only: it changes nothing and remembers nothing. Thread safe.
class RoundRule {
 public:
  virtual ~RoundRule() = default;

  enum class Due : uint8_t {
    kNothing,
    kClose,  // a version is made of what is in the sum
    kFail,   // the round ends without a version
  };
  // Whether a round that collects is to end now, and how.
  virtual Due DueNow(const RoundRecord& round, WallTime now) const = 0;
  // No more updates are taken; the round waits for its end.
  virtual bool IsFull(const RoundRecord& round) const = 0;
  // Whether an update that was made from version `base` is still of use. kStaleVersion.
  virtual Status CheckStaleness(ModelVersion base, ModelVersion latest) const = 0;
  // The versions that devices may train from, for the publication.
  virtual std::vector<ModelVersion> AcceptedBases(ModelVersion latest) const = 0;
  // The most weight that one round can sum: the sum's numbers must not overflow. kInvalidArgument.
  virtual Result<uint64_t> MaxWeight() const = 0;
  // How a round ended, for people: "3 of 5 contributions, minimum 2".
  virtual std::string Describe(const RoundRecord& round) const = 0;
};

std::unique_ptr<const RoundRule> RuleOf(const TaskRecord& task);

// A round closes when its goal is reached, or at its deadline when it has the minimum; with fewer it fails. Only
// updates of the latest version count.
class SynchronousRounds final : public RoundRule {
 public:
  explicit SynchronousRounds(const TaskRecord& task);

  Due DueNow(const RoundRecord& round, WallTime now) const override;
  bool IsFull(const RoundRecord& round) const override { return round.contributions >= policy_.report_goal; }
  Status CheckStaleness(ModelVersion base, ModelVersion latest) const override;
  std::vector<ModelVersion> AcceptedBases(ModelVersion latest) const override { return {latest}; }
  Result<uint64_t> MaxWeight() const override { return max_weight_; }
  std::string Describe(const RoundRecord& round) const override;

 private:
  RoundPolicy policy_;
  Result<uint64_t> max_weight_;
};

}  // namespace tributary

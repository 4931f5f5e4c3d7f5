#pragma once

#include <optional>

#include "aggregator/privacy/correlated_noise.h"
#include "aggregator/privacy/price.h"
#include "aggregator/records/records.h"

namespace tributary {

// A task's [privacy] in whole numbers, as sums have them. It follows from the task's record alone.
struct PrivacyForm {
  PrivacyTerms terms;
  Participation participation;  // as it is enforced
  std::optional<Blt> blt;       // of correlated noise; nullopt: every draw is independent of the others
  uint64_t values = 0;          // of a sum
  uint64_t whole_norm = 0;      // the largest norm of one device's whole numbers
  Variance sigma_squared;       // of a draw, or with `blt` of what a draw's noise is made from
  double multiplier = 0;        // of a draw, or with `blt` of the whole run
  uint64_t denominator = 1;
};

// The task's privacy is on. kCorrupt: it was not made by CompletePrivacy and PrivateScale.
Result<PrivacyForm> PrivacyFormOf(const TaskRecord& task);
// As `tributary privacy plan` prices it.
RunPlan RunPlanOf(const TaskRecord& task);

// Checks a new task's [privacy] against the rest of it, and fills in what was left open: noise and denominator. Nothing
// is done when it is off. kInvalidArgument names the field: what contradicts the guarantee, a budget that holds no
// version, a model that would learn noise (unless accept_noise).
Status CompletePrivacy(TaskRecord& task);

// Whether rounds with this policy and rule keep the guarantee; it is part of CompletePrivacy. kInvalidArgument names the
// field.
Status CheckPrivatePolicy(const TaskRecord& task);

// The scale of a private task's sums: the finest of at most `headroom` whose noise has a deviation of at most 2^22, so
// that the noise is never coarser than the data nor the rounding of values more than a sliver of it. kInvalidArgument:
// its deviation would be below 2^12, or there is none.
Result<FixedPointScale> PrivateScale(TaskRecord task, FixedPointScale headroom);

}  // namespace tributary

#pragma once

#include "aggregator/records/records.h"
#include "protocol/base/result.h"

namespace tributary {

// The resolution that a sum must keep: 2^-16 is 1.5e-5 of a weight's unit, well below what one step of training moves.
inline constexpr int kMinFractionBits = 16;

// Checks an operator's words about a new task: name, tensor table, training plan, round policy and bounds.
// kInvalidArgument: the message begins with the field's name and gives its bounds.
Status CheckNewTask(TaskRecord task);

// The most weight that a round of this task can sum: max_weight * report_goal. kInvalidArgument when it does not fit 63
// bits.
Result<uint64_t> MaxRoundWeight(const TaskRecord& task);

// The scale whose 64-bit sums cannot overflow in a round of this task. kInvalidArgument: fewer than kMinFractionBits
// would be left; the message says which fields to lower.
Result<FixedPointScale> ChooseScale(const TaskRecord& task);

}  // namespace tributary

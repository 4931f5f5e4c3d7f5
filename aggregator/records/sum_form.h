#pragma once

#include <optional>
#include <vector>

#include "aggregator/records/records.h"
#include "protocol/payload/codec/linear.h"
#include "protocol/payload/update_codec.h"

// The vector in which a task's updates are summed: the values of its shared tensors, or with a linear codec the rotated
// vector of these, which is rotated back once when the round closes.
namespace tributary {

// nullopt: the task's updates are summed as they are.
std::optional<LinearForm> LinearFormOf(const TaskRecord& task);
// Values of the vector.
uint64_t SumSizeOf(const TaskRecord& task);
// The step of a linear codec in rounds with these bounds; 0: the task has another codec.
double LinearStepOf(const TaskRecord& task, const UpdateSize& bounds);

// How an update on `base` is written in rounds with these bounds.
UpdateFormat FormatOf(const TaskRecord& task, Codec codec, ModelVersion base, const UpdateSize& bounds);

}  // namespace tributary

#include "aggregator/records/sum_form.h"

#include <algorithm>

#include "protocol/catalogue/shared_tensors.h"
#include "protocol/payload/codec/codec_list.h"
#include "protocol/payload/version_codec.h"

namespace tributary {

std::optional<LinearForm> LinearFormOf(const TaskRecord& task) {
  if (!LinearBitsOf(task.plan.update_codec)) return std::nullopt;
  const SharedTensors shared(task);
  return LinearForm(shared.table().parameter_count(), StatisticsOf(shared.table()));
}

uint64_t SumSizeOf(const TaskRecord& task) {
  const auto form = LinearFormOf(task);
  return form ? form->size() : SharedTensors(task).table().parameter_count();
}

double LinearStepOf(const TaskRecord& task, const UpdateSize& bounds) {
  const auto bits = LinearBitsOf(task.plan.update_codec);
  if (!bits) return 0;
  const double norm = bounds.norm > 0 ? std::min(bounds.norm, task.norm_bound) : task.norm_bound;
  return LinearStep(norm, LinearFormOf(task)->coordinates(), *bits, task.scale.fraction_bits);
}

UpdateFormat FormatOf(const TaskRecord& task, Codec codec, ModelVersion base, const UpdateSize& bounds) {
  UpdateFormat format(codec, StatisticsOf(SharedTensors(task).table()));
  if (IsLinear(codec))
    format.linear = {LinearSeed(task.id, base), LinearStepOf(task, bounds), task.value_bound, task.norm_bound};
  return format;
}

}  // namespace tributary

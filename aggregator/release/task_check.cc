#include "aggregator/release/task_check.h"

#include "protocol/base/limits.h"

namespace tributary {
namespace {

Status Require(bool right, std::string_view field, std::string_view bounds) {
  if (right) return {};
  return Fail(Code::kInvalidArgument, "{} must be {}", field, bounds);
}

}  // namespace

Status CheckNewTask(TaskRecord task) {
  RETURN_IF_ERROR(Require(!task.id.empty(), "id", "a name of 1 to 64 characters"));
  if (auto table = CheckTensorTable(task.table); !table) {
    return Fail(Code::kInvalidArgument, "table: {}", table.error().message);
  }
  RETURN_IF_ERROR(Require(task.table.parameter_count() > 0, "table", "of at least one parameter"));
  RETURN_IF_ERROR(Require(task.module.size > 0 && task.module.size <= limits::kBlobBytes, "module.size",
                          fmt::format("1 to {} bytes", limits::kBlobBytes)));
  RETURN_IF_ERROR(CheckFields(FieldsOf(task.plan), "plan"));
  RETURN_IF_ERROR(CheckFields(FieldsOf(task.policy), "policy"));
  return CheckFields(BoundsOf(task), "bounds");
}

Result<uint64_t> MaxRoundWeight(const TaskRecord& task) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(task.max_weight, uint64_t{task.policy.report_goal}, &product) || product >> 63 != 0) {
    return Fail(Code::kInvalidArgument,
                "max_weight ({}) times policy.report_goal ({}) does not fit 63 bits; lower one of them",
                task.max_weight, task.policy.report_goal);
  }
  return product;
}

Result<FixedPointScale> ChooseScale(const TaskRecord& task) {
  ASSIGN_OR_RETURN(const uint64_t max_total_weight, MaxRoundWeight(task));
  const auto scale = FixedPointScale::For(task.value_bound, max_total_weight);
  if (!scale || scale->fraction_bits < kMinFractionBits) {
    return Fail(
        Code::kInvalidArgument,
        "bounds.value, bounds.max_weight and policy.report_goal together leave fewer than {} bits behind the "
        "binary point of a 64-bit sum ({}); lower max_weight to the most examples one device really has, or the "
        "bound of a value",
        int{kMinFractionBits}, scale ? std::to_string(scale->fraction_bits) : scale.error().message);
  }
  return *scale;
}

}  // namespace tributary

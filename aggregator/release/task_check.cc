#include "aggregator/release/task_check.h"

#include "protocol/base/limits.h"

namespace tributary {
namespace {

constexpr uint32_t kMaxReportGoal = 1'000'000;
constexpr int64_t kMaxDeadlineSeconds = 30ll * 24 * 3600;
constexpr double kMaxValueBound = 1e6;
constexpr double kMaxNormBound = 1e9;
constexpr uint64_t kMaxWeightLimit = 1'000'000'000'000;

Status Require(bool right, std::string_view field, std::string_view bounds) {
  if (right) return {};
  return Fail(Code::kInvalidArgument, std::string(field) + " must be " + std::string(bounds));
}

}  // namespace

Status CheckNewTask(const TaskRecord& task) {
  RETURN_IF_ERROR(Require(!task.id.empty(), "id", "a name of 1 to 64 characters"));
  if (auto table = CheckTensorTable(task.table); !table) {
    return Fail(Code::kInvalidArgument, "table: " + table.error().message);
  }
  RETURN_IF_ERROR(Require(task.table.parameter_count() > 0, "table", "of at least one parameter"));
  RETURN_IF_ERROR(Require(task.module.size > 0 && task.module.size <= limits::kBlobBytes, "module.size",
                          "1 to " + std::to_string(limits::kBlobBytes) + " bytes"));
  if (auto plan = CheckTrainingPlan(task.plan); !plan) {
    return Fail(Code::kInvalidArgument, "plan: " + plan.error().message);
  }
  const RoundPolicy& policy = task.policy;
  RETURN_IF_ERROR(Require(policy.report_goal >= 1 && policy.report_goal <= kMaxReportGoal, "policy.report_goal",
                          "1 to " + std::to_string(kMaxReportGoal)));
  RETURN_IF_ERROR(Require(policy.minimum >= 1 && policy.minimum <= policy.report_goal, "policy.minimum",
                          "1 to policy.report_goal (" + std::to_string(policy.report_goal) + ")"));
  RETURN_IF_ERROR(Require(policy.deadline_seconds >= 1 && policy.deadline_seconds <= kMaxDeadlineSeconds,
                          "policy.deadline_seconds", "1 to " + std::to_string(kMaxDeadlineSeconds)));
  RETURN_IF_ERROR(Require(policy.inclusion > 0 && policy.inclusion <= 1, "policy.inclusion", "in (0, 1]"));
  RETURN_IF_ERROR(
      Require(task.value_bound > 0 && task.value_bound <= kMaxValueBound, "value_bound", "in (0, 1000000]"));
  RETURN_IF_ERROR(Require(task.norm_bound > 0 && task.norm_bound <= kMaxNormBound, "norm_bound", "in (0, 1e9]"));
  RETURN_IF_ERROR(Require(task.max_weight >= 1 && task.max_weight <= kMaxWeightLimit, "max_weight",
                          "1 to " + std::to_string(kMaxWeightLimit)));
  return {};
}

Result<uint64_t> MaxRoundWeight(const TaskRecord& task) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(task.max_weight, uint64_t{task.policy.report_goal}, &product) || product >> 63 != 0) {
    return Fail(Code::kInvalidArgument, "max_weight (" + std::to_string(task.max_weight) +
                                            ") times policy.report_goal (" + std::to_string(task.policy.report_goal) +
                                            ") does not fit 63 bits; lower one of them");
  }
  return product;
}

Result<FixedPointScale> ChooseScale(const TaskRecord& task) {
  ASSIGN_OR_RETURN(const uint64_t max_total_weight, MaxRoundWeight(task));
  const auto scale = FixedPointScale::For(task.value_bound, max_total_weight);
  if (!scale || scale->fraction_bits < kMinFractionBits) {
    return Fail(Code::kInvalidArgument,
                "value_bound, max_weight and policy.report_goal together leave fewer than " +
                    std::to_string(kMinFractionBits) + " bits behind the binary point of a 64-bit sum (" +
                    (scale ? std::to_string(scale->fraction_bits) : scale.error().message) +
                    "); lower max_weight to the most examples one device really has, or value_bound");
  }
  return *scale;
}

}  // namespace tributary

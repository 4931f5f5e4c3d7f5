#include "aggregator/records/server_optimizer_plan.h"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace tributary {
namespace {

constexpr std::string_view kOptimizerNames[] = {"fedavg", "fedavgm", "fedadagrad", "fedadam", "fedyogi"};
constexpr std::string_view kSchedules[] = {"constant", "step", "inverse_sqrt"};

// Of an optimiser, in the order of the enum: its own learning rate, and which fields it has a use for. The rates of the
// adaptive ones are of the size that the paper found best for images: there a step moves a weight by about the rate.
struct Uses {
  double learning_rate;
  std::vector<std::string_view> fields;
};
const Uses& UsesOf(ServerOptimizerName name) {
  static const Uses uses[] = {
      {1, {}}, {1, {"momentum"}}, {0.1, {"tau"}}, {0.01, {"beta1", "beta2", "tau"}}, {0.01, {"beta1", "beta2", "tau"}}};
  return uses[static_cast<size_t>(name)];
}
const std::vector<std::string_view>& UsesOf(RateSchedule schedule) {
  static const std::vector<std::string_view> uses[] = {{}, {"schedule_rounds", "schedule_factor"}, {"schedule_rounds"}};
  return uses[static_cast<size_t>(schedule)];
}

}  // namespace

std::vector<Field> FieldsOf(ServerOptimizerPlan& plan) {
  return {
      OneOf("name", ChoiceIn(plan.name), "the optimiser that makes the next version of a round's mean update",
            kOptimizerNames),
      {"learning_rate", &plan.learning_rate,
       "size of a step; 0: the optimiser's own, 1 with fedavg and fedavgm, 0.1 with fedadagrad, 0.01 with fedadam and "
       "fedyogi",
       Between(0, 1000)},
      OneOf(
          "schedule", ChoiceIn(plan.schedule),
          "how the learning rate falls: step, by schedule_factor after each schedule_rounds versions; inverse_sqrt, as "
          "1 / sqrt(1 + versions / schedule_rounds)",
          kSchedules),
      {"schedule_rounds", &plan.schedule_rounds, "step and inverse_sqrt only: versions", Between(1, 1'000'000)},
      {"schedule_factor", &plan.schedule_factor, "step only: factor on the learning rate", Bounds{0, 1, true, true}},
      {"momentum", &plan.momentum, "fedavgm only: share of the last step in this one", FromBelow(0, 1)},
      {"beta1", &plan.beta1, "fedadam and fedyogi only: decay of the mean of updates", FromBelow(0, 1)},
      {"beta2", &plan.beta2, "fedadam and fedyogi only: decay of the mean of their squares", FromBelow(0, 1)},
      {"tau", &plan.tau, "fedadagrad, fedadam and fedyogi only: how far a step adapts to each weight; less adapts more",
       AboveUpTo(0, 1)},
  };
}

Status CheckServerOptimizer(ServerOptimizerPlan plan) {
  const auto fields = FieldsOf(plan);
  RETURN_IF_ERROR(CheckFields(fields, "server_optimizer"));
  ServerOptimizerPlan of_defaults;
  const auto defaults = FieldsOf(of_defaults);
  const auto check = [&](std::string_view name, bool used, std::string_view by) -> Status {
    const auto field = std::ranges::find(fields, name, &Field::name);
    const auto as_default = std::ranges::find(defaults, name, &Field::name);
    if (used || field->Value() == as_default->Value()) return {};
    return Fail(Code::kInvalidArgument, "server_optimizer.{} must be left out: {} has no use for it ({})", name, by,
                field->help);
  };
  for (const std::string_view name : {"momentum", "beta1", "beta2", "tau"}) {
    const bool used = std::ranges::count(UsesOf(plan.name).fields, name) > 0;
    RETURN_IF_ERROR(check(name, used, kOptimizerNames[static_cast<size_t>(plan.name)]));
  }
  for (const std::string_view name : {"schedule_rounds", "schedule_factor"}) {
    const bool used = std::ranges::count(UsesOf(plan.schedule), name) > 0;
    RETURN_IF_ERROR(check(name, used, fmt::format("the schedule {}", kSchedules[static_cast<size_t>(plan.schedule)])));
  }
  return {};
}

double LearningRateAt(const ServerOptimizerPlan& plan, uint64_t step) {
  double rate = plan.learning_rate > 0 ? plan.learning_rate : UsesOf(plan.name).learning_rate;
  if (plan.schedule == RateSchedule::kInverseSqrt)
    return rate / std::sqrt(1 + static_cast<double>(step) / plan.schedule_rounds);
  const uint64_t times =
      plan.schedule == RateSchedule::kStep ? std::min<uint64_t>(step / plan.schedule_rounds, 10'000'000) : 0;
  for (uint64_t i = 0; i < times; ++i) rate *= plan.schedule_factor;
  return rate;
}

}  // namespace tributary

#pragma once

#include <cstdint>
#include <vector>

#include "protocol/base/field.h"
#include "protocol/base/result.h"

namespace tributary {

// How the aggregator makes the next version of a round's mean update.
enum class ServerOptimizerName : uint8_t { kFedAvg = 0, kFedAvgM = 1, kFedAdagrad = 2, kFedAdam = 3, kFedYogi = 4 };
constexpr bool IsOneOf(ServerOptimizerName name) { return name <= ServerOptimizerName::kFedYogi; }

// The learning rate of step t, which counts from 0. Each is made of IEEE's exact operations, so that a step has the same
// bits on every machine.
enum class RateSchedule : uint8_t {
  kConstant = 0,
  kStep = 1,         // rate * factor^floor(t / rounds)
  kInverseSqrt = 2,  // rate / sqrt(1 + t / rounds)
};
constexpr bool IsOneOf(RateSchedule schedule) { return schedule <= RateSchedule::kInverseSqrt; }

// The server's half of FedOpt (Reddi et al. 2021, Adaptive Federated Optimization, Algorithm 2). A learning rate of 0
// stands for the optimiser's own. Value type with a table of its fields.
struct ServerOptimizerPlan {
  ServerOptimizerName name = ServerOptimizerName::kFedAvg;
  double learning_rate = 0;
  RateSchedule schedule = RateSchedule::kConstant;
  uint32_t schedule_rounds = 100;
  double schedule_factor = 0.5;
  double momentum = 0.9;
  double beta1 = 0.9;
  double beta2 = 0.99;
  double tau = 0.001;
  bool operator==(const ServerOptimizerPlan&) const = default;
};
std::vector<Field> FieldsOf(ServerOptimizerPlan& plan);

// Bounds, and that no field is set that this optimiser or schedule has no use for. kInvalidArgument names the field.
Status CheckServerOptimizer(ServerOptimizerPlan plan);

// Of step `step`, which counts from 0.
double LearningRateAt(const ServerOptimizerPlan& plan, uint64_t step);

}  // namespace tributary

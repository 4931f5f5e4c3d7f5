#pragma once

#include <optional>
#include <string>
#include <vector>

#include "aggregator/privacy/correlated_noise.h"
#include "aggregator/privacy/spend.h"
#include "protocol/base/field.h"

namespace tributary {

// A run that somebody thinks of, before any data is touched. Of `noise` and `epsilon` one is given, the other follows.
struct RunPlan {
  Accounting accounting = Accounting::kParticipations;
  uint64_t parameters = 0;
  uint64_t devices = 0;     // in a round: the report goal, or with a private coin how many are expected
  uint64_t population = 0;  // devices of the task in all
  uint64_t rounds = 100;
  uint64_t participations = 0;  // of a device in the run, enforced; 0: what the rounds and the separation leave
  uint64_t separation = 1;      // rounds from one participation to the next, enforced
  double noise = 0;    // deviation of a round's noise over the clip; with kCorrelated, of z over the sensitivity
  double epsilon = 0;  // most that may be spent
  double delta = 0;    // 0: 1 / (10 population), at most 10^-6

  // kInvalidArgument names the field and what is wrong.
  Status Check() const;
};
// Its fields, as commands and files name them.
std::vector<Field> FieldsOf(RunPlan& plan);

// What it costs and what is left.
struct RunPrice {
  double epsilon = 0;
  double delta = 0;
  double rho = 0;               // of kParticipations and kCorrelated: the run's; 0 with a coin
  double noise = 0;             // as in the plan
  double effective_noise = 0;   // what independent rounds with this multiplier would do to the model
  double signal_to_noise = 0;   // devices / (effective noise * sqrt(parameters)), of a round
  uint64_t enough_devices = 0;  // in a round, for a ratio of kGoodSignal
  uint64_t participations = 0;  // that were counted with
  std::string theorem;
};
// By which rounds are added up, with its source.
std::string_view TheoremOf(Accounting accounting);

// A round's mean has at most the clip's norm; its noise has the norm z * clip * sqrt(parameters) / devices. Above
// kGoodSignal training goes on nearly as without; below kNoise the model learns noise.
inline constexpr double kGoodSignal = 0.3;
inline constexpr double kNoise = 0.1;

// kInvalidArgument: the plan, or there is no noise that keeps the epsilon.
Result<RunPrice> PriceOf(const RunPlan& plan);
// Why no run should begin at this price; kInvalidArgument with the numbers and what would do.
Status CheckUse(const RunPlan& plan, const RunPrice& price);

}  // namespace tributary

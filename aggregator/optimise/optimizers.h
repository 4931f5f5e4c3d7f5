#pragma once

#include <memory>
#include <span>
#include <vector>

#include "aggregator/records/server_optimizer_plan.h"

namespace tributary {

// Makes the next weights from the present ones and a round's mean update, for any of the values, each on its own. The same
// input gives the same bits on every machine: all is computed in double by IEEE's exact operations and rounded once, since
// a step is repeated after a crash. Thread safe.
class ServerOptimizer {
 public:
  virtual ~ServerOptimizer() = default;
  // How many numbers it keeps for each value from one step to the next; 0: none.
  virtual size_t slots() const = 0;
  // Fills in the slots before the first step. The slots of one value lie together.
  virtual void Begin(std::span<float> kept) const = 0;
  // `kept` becomes what it keeps after this step. A weight that overflows float32 becomes infinite. Dies unless the sizes
  // agree.
  virtual std::vector<float> Step(std::span<const float> present, std::span<const double> mean, double rate,
                                  std::span<float> kept) const = 0;
};

// Of the plan's name. Another optimiser is a rule in optimizers.cc and its line there, and a line in the tables of
// server_optimizer_plan.cc.
std::unique_ptr<const ServerOptimizer> MakeServerOptimizer(const ServerOptimizerPlan& plan);

}  // namespace tributary

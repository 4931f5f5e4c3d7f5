#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/catalogue/tensor_table.h"
#include "protocol/payload/evaluation.h"
#include "protocol/payload/update_codec.h"

namespace tributary {

// All values of a model that training may change, as one flat vector in the order of a table.
using Values = std::vector<float>;

// One run of training over the device's examples, from given values. The default is a whole fit by the plan.
struct TrainingPass {
  std::vector<bool> trains = {};  // by tensor: the others end as they began; empty: all are trained
  uint32_t epochs = 0;            // 0: the plan's
  double rate = 1;                // factor on the plan's learning rate
  // Adds pull / 2 times the squared distance from `towards` to the loss. 0: adds nothing, and costs nothing.
  double pull = 0;
  std::span<const float> towards = {};  // as long as the values
  // The order of the examples. Passes with one number see the same order; 0 is the order of a plain fit.
  uint64_t order = 0;
  // Layers behave as in evaluation: no dropout, and batch normalisation goes by its running statistics.
  bool steady = false;
};

// A model with a device's examples, as strategies see it: any library of machine learning can stand behind it, and tests
// put arithmetic there. One thread. The same calls give the same bits.
class Trainer {
 public:
  virtual ~Trainer() = default;
  // The tensors that are trained or kept. Frozen ones are not among them.
  virtual const TensorTable& tensors() const = 0;
  // Which of them have a gradient: buffers, such as running means, change only along with the others.
  virtual std::vector<bool> trained() const = 0;
  // The values that the version has, and for what does not travel those of the module.
  virtual const Values& base() const = 0;
  // Trains from `values` on, in place; the summary is of this pass. Errors: those of Learner::Learn.
  virtual Result<UpdateMeta> Train(Values& values, const TrainingPass& pass) = 0;
  // The quality on the held-out examples; nullopt: there are none.
  virtual Result<std::optional<EvaluationResult>> Measure(const Values& values) = 0;
  // The derivative of the training loss at `values` in a direction, over some of the training examples.
  virtual Result<double> Slope(const Values& values, const Values& direction) = 0;
};

}  // namespace tributary

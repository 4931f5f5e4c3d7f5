#pragma once

#include <functional>
#include <span>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/publication.h"
#include "protocol/payload/evaluation.h"
#include "protocol/payload/update_codec.h"

namespace tributary {

// The result of one local fit.
struct Learned {
  UpdateMeta meta;
  std::vector<float> delta;  // fine-tuned minus base, parameter_count values
  // Base and fine-tuned on the held-out share; empty when nothing is held out.
  std::vector<EvaluationResult> evaluations;
};

// The machine learning that an agent needs, as an interface; device/torch implements it with LibTorch. It is called on a
// worker thread, one call at a time for one learner. The same inputs give the same bits.
class Learner {
 public:
  virtual ~Learner() = default;
  // `module` and `weights` are those of task.latest. Asks `cancelled` now and then; true ends it with kShuttingDown.
  // Errors: those of the model and the fit.
  virtual Result<Learned> Learn(const PublishedTask& task, ByteView module, std::span<const float> weights,
                                const std::function<bool()>& cancelled) = 0;
  // The quality of the weights on the held-out share.
  virtual Result<std::vector<EvaluationResult>> Evaluate(const PublishedTask& task, ByteView module,
                                                         std::span<const float> weights) = 0;
};

}  // namespace tributary

#pragma once

#include <memory>

#include "device/learn/learner.h"
#include "device/torch/model.h"

namespace tributary {

// A model with its weights in place, in evaluation mode, that answers with what forward returns. An input that is no feature
// and that forward takes has to be in the request too. `scaled_by`: see Learner::Load. Errors: those of TaskMethods::Bind;
// kFewExamples.
Result<std::unique_ptr<LoadedModel>> MakeTorchPredictor(std::unique_ptr<Model> model, const LearnOrder& order,
                                                        const Examples& scaled_by);

}  // namespace tributary

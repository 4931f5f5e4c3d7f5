#include "device/torch/evaluate.h"

#include <algorithm>
#include <chrono>
#include <span>

#include "device/learn/learner.h"
#include "device/torch/task_methods.h"
#include "device/torch/torch_module.h"

namespace tributary {
namespace {

// Large enough to make a call's overhead vanish, small enough that the activations of a small network stay in the cache.
constexpr size_t kEvaluationBatch = 100;
// Of a model that draws random numbers in evaluation too: any, but always the same.
constexpr uint64_t kEvaluationSeed = 1;

}  // namespace

Result<Evaluation> Evaluate(Model& model, const Examples& examples, const EvaluationOptions& options) {
  if (examples.size() == 0) return Fail(Code::kInvalidArgument, "there are no examples to evaluate on");
  RETURN_IF_ERROR(CheckExamples(model.manifest(), {{}, examples}));
  UseOneThread();
  const auto evaluate = [&]() -> Result<Evaluation> {
    Model::Module& module = model.module();
    const auto start = std::chrono::steady_clock::now();
    ASSIGN_OR_RETURN(TaskMethods methods, TaskMethods::Bind(module.script, model.manifest(), options.loss));
    const bool measured = options.scaled_by && options.scaled_by->size() > 0;
    Batcher batches(model.manifest(), methods.used(), *examples.set,
                    MeasureScales(model.manifest(), measured ? *options.scaled_by : examples));
    const auto lock = HoldRandom(module, kEvaluationSeed);
    const at::NoGradGuard no_grad;
    Evaluation evaluation{examples.size(), 0, {}};
    for (size_t begin = 0; begin < examples.size(); begin += kEvaluationBatch) {
      if (options.cancelled && options.cancelled()) return Fail(Code::kShuttingDown, "the evaluation was cancelled");
      const size_t count = std::min(kEvaluationBatch, examples.size() - begin);
      ASSIGN_OR_RETURN(const Batch batch, batches.Make(std::span(examples.indices).subspan(begin, count)));
      RETURN_IF_ERROR(methods.AddMetrics(batch, evaluation.metrics));
    }
    const auto spent = std::chrono::steady_clock::now() - start;
    evaluation.millis =
        static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(spent).count());
    return evaluation;
  };
  return CatchTorch(Code::kInvalidArgument, "the model cannot be evaluated on these examples", evaluate);
}

}  // namespace tributary

#include "device/torch/evaluate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <mutex>
#include <span>

#include "device/torch/torch_module.h"

namespace tributary {
namespace {

// Large enough to make a call's overhead vanish, small enough that the activations of a small network stay in the
// cache.
constexpr size_t kBatch = 100;

}  // namespace

Result<Evaluation> Evaluate(Model& model, const Examples& examples) {
  if (examples.size() == 0) return Fail(Code::kInvalidArgument, "there are no examples to evaluate on");
  UseOneThread();
  return CatchTorch(
      Code::kInvalidArgument, "the model cannot be evaluated on these examples", [&]() -> Result<Evaluation> {
        Model::Module& module = model.module();
        std::unique_lock lock(RandomModels(), std::defer_lock);
        if (module.draws_random) lock.lock();
        const auto start = std::chrono::steady_clock::now();
        const at::NoGradGuard no_grad;
        std::vector<int64_t> shape = examples.set->shape;
        shape.insert(shape.begin(), static_cast<int64_t>(std::min(kBatch, examples.size())));
        const at::Tensor pixels = at::empty(shape, at::kFloat);
        const at::Tensor labels = at::empty({shape[0]}, at::kLong);
        double loss = 0;
        int64_t correct = 0;
        for (size_t begin = 0; begin < examples.size(); begin += kBatch) {
          const auto batch = std::span(examples.indices).subspan(begin, std::min(kBatch, examples.size() - begin));
          const auto count = static_cast<int64_t>(batch.size());
          FillBatch(*examples.set, batch, pixels.data_ptr<float>(), labels.data_ptr<int64_t>());
          const at::Tensor target = labels.narrow(0, 0, count);
          const at::Tensor output = module.script.forward({pixels.narrow(0, 0, count)}).toTensor();
          loss += at::cross_entropy_loss(output, target, {}, at::Reduction::Sum).item<double>();
          correct += output.argmax(1).eq(target).sum().item<int64_t>();
        }
        const auto count = static_cast<double>(examples.size());
        if (!std::isfinite(loss)) return Fail(Code::kNotFinite, "the loss is not finite");
        const auto spent = std::chrono::steady_clock::now() - start;
        return Evaluation{examples.size(), loss / count, static_cast<double>(correct) / count,
                          static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(spent).count())};
      });
}

}  // namespace tributary

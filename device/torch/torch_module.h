#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <torch/script.h>

#include "device/torch/model.h"

// Shared by the .cc files of this folder only, because it includes LibTorch.
namespace tributary {

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
  bool is_parameter = false;  // else a buffer
};

struct Model::Module {
  torch::jit::Module script;
  // Every parameter, then every float buffer; each tensor once, the same object that the module holds.
  std::vector<NamedTensor> all;
  // The table's tensors in its order; some of `all`.
  std::vector<at::Tensor> tensors;
  // A method that a task calls may draw random numbers (dropout). LibTorch's generator belongs to the process, so such a
  // model runs with HoldRandom() and the generator seeded.
  bool draws_random = false;

  // The parameters that a fit changes, also those that do not travel.
  std::vector<NamedTensor> Trained() const;
};

// The module is in training mode for as long as this lives, unless it is `steady`. Gradients are dropped at both ends: at the beginning those of
// somebody else, at the end because they are as large as the model.
class TrainingMode {
 public:
  explicit TrainingMode(Model::Module& module, bool steady = false);
  TrainingMode(const TrainingMode&) = delete;
  TrainingMode& operator=(const TrainingMode&) = delete;
  ~TrainingMode();

 private:
  Model::Module& module_;
};

// Sets LibTorch and OpenBLAS to one thread for this thread's work. Cheap after the first call of a thread.
void UseOneThread();

// Held while the model runs: a lock if it draws random numbers, else nothing. With the lock the generator is seeded.
std::unique_lock<std::mutex> HoldRandom(const Model::Module& module, uint64_t seed);

// The error of an exception from LibTorch, without its stack trace.
Error FromTorch(Code code, std::string_view what, const std::exception& caught);

// Runs `work`, which returns a Result, and turns what LibTorch throws into an error with this code.
template <class Work>
auto CatchTorch(Code code, std::string_view what, Work work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::exception& caught) {
    return Fail(FromTorch(code, what, caught));
  }
}

}  // namespace tributary

#pragma once

#include <mutex>
#include <string_view>
#include <vector>

#include <torch/script.h>

#include "device/torch/model.h"

// Shared by the .cc files of this folder only, because it includes LibTorch.
namespace tributary {

struct Model::Module {
  torch::jit::Module script;
  // The table's tensors in its order; the same objects that the module holds.
  std::vector<at::Tensor> tensors;
  // How many of them are parameters; the rest are buffers.
  size_t parameters = 0;
  // forward may draw random numbers (dropout). LibTorch's generator belongs to the process, so such a model runs with
  // HoldRandom() and the generator seeded.
  bool draws_random = false;
};

// Sets LibTorch and OpenBLAS to one thread for this thread's work. Cheap after the first call of a thread.
void UseOneThread();

// Held while the model runs: a lock if it draws random numbers, else nothing.
std::unique_lock<std::mutex> HoldRandom(const Model::Module& module);

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

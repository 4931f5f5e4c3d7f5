#pragma once

#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include <torch/script.h>

#include "device/torch/task_methods.h"

// Includes LibTorch: for the .cc files of this folder only.
namespace tributary {

// The last layer of a module apart from what lies below it, for a fit of this layer alone: what lies below gives the same
// values in every pass, so they are computed once. That makes five passes cost about one.
class LastLayer {
 public:
  // nullopt: forward does not end in one linear layer that has just the tensors `trained` and uses them nowhere else, the
  // loss is the module's own, or the values would be no matrix or over 256 MiB. The module is in evaluation mode.
  // Errors: those of `batches`. LibTorch's exceptions pass through.
  static Result<std::optional<LastLayer>> Of(const torch::jit::Module& script, TaskMethods& methods, Batcher& batches,
                                             const std::vector<at::Tensor>& trained, std::span<const uint32_t> examples);

  // The output of forward for these of the examples.
  at::Tensor Output(std::span<const uint32_t> examples) const;

 private:
  LastLayer() = default;

  at::Tensor weight_, bias_;  // the bias may be undefined
  at::Tensor below_;          // a row for each example
  std::unordered_map<uint32_t, int64_t> rows_;
};

}  // namespace tributary

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <torch/script.h>

#include "device/examples/example_set.h"
#include "protocol/base/result.h"
#include "protocol/plan/task_manifest.h"

// Includes LibTorch: for the .cc files of this folder only.
namespace tributary {

// The tensors of a manifest's inputs, in its order; undefined where nobody takes the input.
using Batch = std::vector<at::Tensor>;

at::ScalarType ScalarTypeOf(DType dtype);

// The value that is taken from the values of an input, and the one that divides them: once for all elements, or for each of an
// example. Of a field whose first dimension varies, for each element of a row; where another dimension varies, once.
struct Scale {
  std::vector<double> mean = {0};
  std::vector<double> std = {1};
};
// For each input of the manifest. device-standard is measured over `examples` (Welford's method, in double); an element
// that is always the same is divided by 1.
std::vector<Scale> MeasureScales(const TaskManifest& manifest, const Examples& examples);

// Makes batches from the columns of an example set. The tensors of a batch are overwritten by the next one, so that a fit
// allocates once. Borrows manifest and examples. Not thread safe.
class Batcher {
 public:
  // The examples have passed CheckExamples. `used` says for each input whether somebody takes it.
  Batcher(const TaskManifest& manifest, const std::vector<bool>& used, const ExampleSet& set, std::vector<Scale> scales);
  // Shorter examples of a field that varies are filled up with the input's `pad`, to the longest of the batch.
  // kBadExample: a whole number that the input's type cannot hold.
  Result<Batch> Make(std::span<const uint32_t> indices);

 private:
  struct Column {
    const TaskInput* input = nullptr;  // nullptr: nobody takes it
    const ExampleColumn* column = nullptr;
    Scale scale;
    bool keeps_one = false;   // a number becomes [n, 1], not [n]
    std::vector<int64_t> shape;  // of one example
    int64_t varying = -1;     // which dimension of `shape`; -1: none
    at::Tensor buffer;
  };
  static Status Fill(Column& column, std::span<const uint32_t> indices, at::Tensor& to);

  std::vector<Column> columns_;
};

}  // namespace tributary

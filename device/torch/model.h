#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/tensor_table.h"

namespace tributary {

// A model written in TorchScript: its parameters and the methods of its class.
struct ModelSource {
  struct Parameter {
    std::string name;  // dotted: "conv1.weight" lies in the submodule conv1
    std::vector<int64_t> shape;
    std::vector<float> values;
  };
  std::string class_name;
  std::vector<Parameter> parameters;
  std::string methods;  // "def forward(self, x): …"
};

struct ModelOutput {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

// A TorchScript module whose weights are read and set as one flat float32 vector: all parameters in the module's order,
// then all float buffers (running means, for example). Integer buffers stay in the module and do not travel. Tensors
// that the module shares between two names are in the table once, under the first.
//
// Each Model owns its module and all of its tensors. Different Models may be used by different threads at the same
// time, one Model by one thread at a time. The process's LibTorch and OpenBLAS are set to one thread per caller on the
// first use, since a sum's bits depend on how it is split among threads; a device that wants more cores runs more fits.
//
// Does not promise equal bits on another kind of processor: LibTorch picks its kernels by what the processor can do.
class Model {
 public:
  // The bytes of a file written by torch.jit.save or ScriptModule.save, any version that LibTorch 1.13 reads.
  // kMalformed: not such a file, or no method forward. kNotSupported: a floating-point tensor that is not float32.
  // kTooLarge: see CheckTensorTable. kModelRefused: it holds what no model may do (CheckModuleArchive, CheckGraphs);
  // none of its code has run.
  static Result<std::unique_ptr<Model>> Load(ByteView torchscript);
  // kInvalidArgument: the source does not compile, or a parameter's values do not fill its shape.
  static Result<std::unique_ptr<Model>> FromSource(const ModelSource& source);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const TensorTable& table() const { return table_; }
  // table().parameter_count() values in the table's order.
  std::vector<float> Weights() const;
  // kWrongTensorCount: not parameter_count() values. kNotFinite names the tensor. On error nothing has changed.
  Status SetWeights(std::span<const float> weights);
  // weights += delta; errors as SetWeights, also when a sum overflows.
  Status ApplyDelta(std::span<const float> delta);
  // As torch.jit.load reads it back, in C++ or Python.
  Result<Bytes> Save() const;
  // forward(input) in evaluation mode. kInvalidArgument: the module refuses the input or does not return one float
  // tensor.
  Result<ModelOutput> Run(std::span<const float> input, std::span<const int64_t> shape);

  // For device/torch, which includes torch_module.h.
  struct Module;
  Module& module() { return *module_; }

 private:
  Model(std::unique_ptr<Module> module, TensorTable table);
  static Result<std::unique_ptr<Model>> Wrap(std::unique_ptr<Module> module);
  Status CheckCount(size_t count) const;
  Status CheckFinite(std::span<const float> weights) const;

  std::unique_ptr<Module> module_;
  TensorTable table_;
};

}  // namespace tributary

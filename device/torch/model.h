#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/tensor_table.h"
#include "protocol/plan/task_manifest.h"

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

// A TorchScript module and the manifest that says what it takes. The weights that travel are read and set as one flat
// float32 vector in the order of a table. After Load the table lists all parameters in the module's order, then all float
// buffers (running means, for example); a tensor with two names is there once, under the first. Select() chooses those of a
// task. The other tensors, also integer buffers, stay in the module with the values they have there: frozen ones are never
// trained; personal and local ones are trained with the rest, and the device keeps them (learn/personal_model.h).
//
// Each Model owns its module and all of its tensors. Different Models may be used by different threads at the same
// time, one Model by one thread at a time. The process's LibTorch and OpenBLAS are set to one thread per caller on the
// first use, since a sum's bits depend on how it is split among threads; a device that wants more cores runs more fits.
//
// Does not promise equal bits on another kind of processor: LibTorch picks its kernels by what the processor can do.
class Model {
 public:
  // The bytes of a file written by torch.jit.save or ScriptModule.save, any version that LibTorch 1.13 reads. Its manifest
  // is the file tributary.json inside, or ManifestOfImages().
  // kInvalidArgument: not such a file, or no method forward. kNotSupported: a floating-point tensor that is not float32, or a file
  // of a newer PyTorch. kTooLarge: see CheckTensorTable. kModelRefused: it holds what no model may do (CheckModuleArchive,
  // CheckGraphs); none of its code has run. Errors of ParseTaskManifest.
  static Result<std::unique_ptr<Model>> Load(ByteView torchscript);
  // kInvalidArgument: the source does not compile, or a parameter's values do not fill its shape.
  static Result<std::unique_ptr<Model>> FromSource(const ModelSource& source);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const TaskManifest& manifest() const { return manifest_; }
  // False: the file had no tributary.json.
  bool has_manifest() const { return has_manifest_; }
  // The tensors that travel by the manifest: all but parameters without requires_grad and what is frozen, personal or local.
  TensorTable SharedTable() const;
  // Makes the model that of a task: its table, from now on, and its manifest. Values of tensors that a package left out are
  // undefined until SetWeights. kWrongTensorCount: a tensor of the table is missing or has another shape. To be called once,
  // before anything else.
  Status Select(const TensorTable& table, const TaskManifest& manifest);

  const TensorTable& table() const { return table_; }
  // table().parameter_count() values in the table's order.
  std::vector<float> Weights() const;
  // kWrongTensorCount: not parameter_count() values. kNotFinite names the tensor. On error nothing has changed.
  Status SetWeights(std::span<const float> weights);
  // weights += delta; errors as SetWeights, also when a sum overflows.
  Status ApplyDelta(std::span<const float> delta);
  // As torch.jit.load reads it back, in C++ or Python. The manifest is in it again, unless it is ManifestOfImages() and the
  // file had none.
  Result<Bytes> Save() const;
  // The same without the values of the table's tensors: each is one zero, shown in the tensor's shape. The file is for
  // Select() and SetWeights().
  Result<Bytes> SaveWithoutWeights();
  // forward(input) in evaluation mode. kInvalidArgument: the module refuses the input or does not return one float
  // tensor.
  Result<ModelOutput> Run(std::span<const float> input, std::span<const int64_t> shape);

  // For device/torch, which includes torch_module.h.
  struct Module;
  Module& module() { return *module_; }

 private:
  Model(std::unique_ptr<Module> module, TensorTable table);
  static Result<std::unique_ptr<Model>> Wrap(std::unique_ptr<Module> module);
  void Adopt(TaskManifest manifest);
  Status CheckCount(size_t count) const;
  Status CheckFinite(std::span<const float> weights) const;

  std::unique_ptr<Module> module_;
  TensorTable table_;
  TaskManifest manifest_ = ManifestOfImages();
  bool has_manifest_ = false;
};

}  // namespace tributary

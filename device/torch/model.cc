#include "device/torch/model.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <istream>
#include <map>
#include <mutex>
#include <sstream>
#include <streambuf>
#include <utility>

#include <ATen/Parallel.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>

#include "device/torch/graph_check.h"
#include "device/torch/torch_module.h"
#include "protocol/catalogue/module_archive.h"

namespace tributary {
namespace {

// Lets LibTorch read bytes where they are.
class ViewBuffer : public std::streambuf {
 public:
  explicit ViewBuffer(ByteView bytes) {
    char* begin = const_cast<char*>(AsText(bytes).data());  // streambuf wants char*, but never writes to the get area
    setg(begin, begin, begin + bytes.size());
  }

 protected:
  pos_type seekoff(off_type offset, std::ios_base::seekdir from, std::ios_base::openmode) override {
    const off_type base = from == std::ios_base::beg   ? 0
                          : from == std::ios_base::cur ? gptr() - eback()
                                                       : egptr() - eback();
    const off_type target = base + offset;
    if (target < 0 || target > egptr() - eback()) return pos_type(off_type(-1));
    setg(eback(), eback() + target, egptr());
    return pos_type(target);
  }
  pos_type seekpos(pos_type position, std::ios_base::openmode which) override {
    return seekoff(off_type(position), std::ios_base::beg, which);
  }
};

void PrepareProcess() {
  static std::once_flag once;
  std::call_once(once, [] {
    // The optimising executor runs a graph differently the first times, and differently again once it has seen the
    // shapes: the same fit would give other bits the second time. The plain interpreter calls the operators as eager
    // PyTorch does.
    torch::jit::setGraphExecutorOptimize(false);
    // Debian's LibTorch takes its matrix products from whatever libblas.so.3 is; OpenBLAS has a thread pool of its own,
    // which only its own call turns off.
    if (auto* set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))) set(1);
  });
}

// Named operators that draw from the process's generator, by a part of their name. A false hit only costs that such
// fits run one after the other.
bool DrawsRandom(const torch::jit::Node& node) {
  static constexpr std::array kParts = {"dropout",   "rand",     "bernoulli",   "normal",  "multinomial",
                                        "poisson",   "rrelu",    "exponential", "uniform", "cauchy",
                                        "geometric", "binomial", "dirichlet",   "gamma"};
  const std::string name = node.kind().toUnqualString();
  return node.isNondeterministic() || std::any_of(kParts.begin(), kParts.end(), [&](const char* part) {
           return name.find(part) != std::string::npos;
         });
}

bool DrawsRandom(at::ArrayRef<const torch::jit::Block*> blocks) {
  for (const torch::jit::Block* block : blocks) {
    for (const torch::jit::Node* node : block->nodes()) {
      if (DrawsRandom(*node) || DrawsRandom(node->blocks())) return true;
    }
  }
  return false;
}

// TorchScript files keep shared storage but make two tensors of it. One object again, so that an optimiser steps it
// once.
void TieSharedTensors(torch::jit::Module& script) {
  std::map<const void*, at::Tensor> first;
  for (torch::jit::Module module : script.modules()) {
    for (const auto& parameter : module.named_parameters(/*recurse=*/false)) {
      if (parameter.value.numel() == 0) continue;
      const auto [found, added] = first.emplace(parameter.value.data_ptr(), parameter.value);
      if (!added && found->second.sizes() == parameter.value.sizes()) module.setattr(parameter.name, found->second);
    }
  }
}

Status AddTensor(const std::string& name, const at::Tensor& tensor, Model::Module& module, TensorTable& table) {
  const auto same = [&](const at::Tensor& other) { return other.is_same(tensor); };
  if (std::any_of(module.tensors.begin(), module.tensors.end(), same)) return {};
  if (tensor.scalar_type() != at::kFloat) {
    return Fail(Code::kNotSupported, "tensor " + name + " is " + toString(tensor.scalar_type()) + ", not float32");
  }
  module.tensors.push_back(tensor);
  table.tensors.push_back({name, tensor.sizes().vec(), table.parameter_count(), static_cast<uint64_t>(tensor.numel())});
  return {};
}

// The submodule that a dotted name's last part lies in, made on the way where it is not there yet.
torch::jit::Module Descend(torch::jit::Module module, std::string& name, const std::string& class_name) {
  std::string path = class_name;
  for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.')) {
    const std::string child = name.substr(0, dot);
    name.erase(0, dot + 1);
    path += "_" + child;
    if (!module.hasattr(child)) {
      torch::jit::Module made("__torch__." + path, module._ivalue()->compilation_unit());
      made.register_attribute("training", c10::BoolType::get(), false);
      module.register_module(child, made);
    }
    module = module.attr(child).toModule();
  }
  return module;
}

Status DefineParameters(const ModelSource& source, torch::jit::Module& script) {
  for (const ModelSource::Parameter& parameter : source.parameters) {
    const int64_t size = c10::multiply_integers(parameter.shape);
    if (size < 0 || static_cast<size_t>(size) != parameter.values.size()) {
      return Fail(Code::kInvalidArgument, "parameter {} has {} values for a shape of {}", parameter.name,
                  parameter.values.size(), size);
    }
    at::Tensor tensor = at::empty(parameter.shape, at::kFloat);
    std::copy(parameter.values.begin(), parameter.values.end(), tensor.data_ptr<float>());
    std::string name = parameter.name;
    torch::jit::Module owner = Descend(script, name, source.class_name);
    owner.register_parameter(name, tensor.requires_grad_(), /*is_buffer=*/false);
  }
  return {};
}

}  // namespace

void UseOneThread() {
  PrepareProcess();
  // The OpenMP thread count belongs to the calling thread; the call also sets LibTorch's own, which belong to the
  // process.
  static std::mutex mutex;
  thread_local bool done = false;
  if (done) return;
  const std::lock_guard lock(mutex);
  at::set_num_threads(1);
  done = true;
}

std::unique_lock<std::mutex> HoldRandom(const Model::Module& module) {
  static std::mutex mutex;
  return module.draws_random ? std::unique_lock(mutex) : std::unique_lock<std::mutex>();
}

Error FromTorch(Code code, std::string_view what, const std::exception& caught) {
  const auto* error = dynamic_cast<const c10::Error*>(&caught);
  std::string text = error ? error->what_without_backtrace() : caught.what();
  // The interpreter puts its traceback first and the reason last.
  if (const size_t reason = text.rfind("RuntimeError: "); reason != std::string::npos) text.erase(0, reason + 14);
  constexpr size_t kLongest = 500;
  if (text.size() > kLongest) text = text.substr(0, kLongest) + " …";
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return {code, std::string(what) + ": " + text};
}

Model::Model(std::unique_ptr<Module> module, TensorTable table)
    : module_(std::move(module)), table_(std::move(table)) {}
Model::~Model() = default;

Result<std::unique_ptr<Model>> Model::Wrap(std::unique_ptr<Module> module) {
  torch::jit::Module& script = module->script;
  const auto forward = script.find_method("forward");
  if (!forward) return Fail(Code::kMalformed, "the module has no method forward");
  auto graph = forward->graph()->copy();
  torch::jit::Inline(*graph);
  const torch::jit::Block* root = graph->block();
  module->draws_random = DrawsRandom(root);
  script.eval();
  TieSharedTensors(script);
  TensorTable table;
  for (const auto& parameter : script.named_parameters()) {
    RETURN_IF_ERROR(AddTensor(parameter.name, parameter.value, *module, table));
  }
  module->parameters = module->tensors.size();
  for (const auto& buffer : script.named_buffers()) {
    if (!buffer.value.is_floating_point()) continue;
    RETURN_IF_ERROR(AddTensor(buffer.name, buffer.value, *module, table));
  }
  RETURN_IF_ERROR(CheckTensorTable(table));
  return std::unique_ptr<Model>(new Model(std::move(module), std::move(table)));
}

Result<std::unique_ptr<Model>> Model::Load(ByteView torchscript) {
  RETURN_IF_ERROR(CheckModuleArchive(torchscript));
  UseOneThread();
  return CatchTorch(Code::kMalformed, "not a TorchScript module", [&]() -> Result<std::unique_ptr<Model>> {
    ViewBuffer buffer(torchscript);
    std::istream stream(&buffer);
    auto module = std::make_unique<Module>();
    module->script = torch::jit::load(stream, c10::Device(c10::kCPU));
    RETURN_IF_ERROR(CheckGraphs(module->script));
    return Wrap(std::move(module));
  });
}

Result<std::unique_ptr<Model>> Model::FromSource(const ModelSource& source) {
  UseOneThread();
  return CatchTorch(Code::kInvalidArgument, "TorchScript source", [&]() -> Result<std::unique_ptr<Model>> {
    auto module = std::make_unique<Module>();
    module->script = torch::jit::Module("__torch__." + source.class_name);
    module->script.register_attribute("training", c10::BoolType::get(), false);
    RETURN_IF_ERROR(DefineParameters(source, module->script));
    module->script.define(source.methods);
    return Wrap(std::move(module));
  });
}

std::vector<float> Model::Weights() const {
  std::vector<float> weights(table_.parameter_count());
  for (size_t i = 0; i < module_->tensors.size(); ++i) {
    const at::Tensor tensor = module_->tensors[i].detach().contiguous();
    std::copy_n(tensor.data_ptr<float>(), table_.tensors[i].size, weights.begin() + table_.tensors[i].offset);
  }
  return weights;
}

Status Model::CheckCount(size_t count) const {
  if (count == table_.parameter_count()) return {};
  return Fail(Code::kWrongTensorCount, "{} values for a model of {}", count, table_.parameter_count());
}

Status Model::CheckFinite(std::span<const float> weights) const {
  for (const TensorEntry& entry : table_.tensors) {
    const auto part = weights.subspan(entry.offset, entry.size);
    const auto bad = std::find_if_not(part.begin(), part.end(), [](float value) { return std::isfinite(value); });
    if (bad == part.end()) continue;
    return Fail(Code::kNotFinite, "tensor " + entry.name + ", element " + std::to_string(bad - part.begin()));
  }
  return {};
}

Status Model::SetWeights(std::span<const float> weights) {
  RETURN_IF_ERROR(CheckCount(weights.size()));
  RETURN_IF_ERROR(CheckFinite(weights));
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < module_->tensors.size(); ++i) {
    const TensorEntry& entry = table_.tensors[i];
    float* values = const_cast<float*>(weights.data() + entry.offset);  // from_blob has no const form; only read
    module_->tensors[i].copy_(at::from_blob(values, entry.shape, at::kFloat));
  }
  return {};
}

Status Model::ApplyDelta(std::span<const float> delta) {
  RETURN_IF_ERROR(CheckCount(delta.size()));
  std::vector<float> weights = Weights();
  for (size_t i = 0; i < weights.size(); ++i) weights[i] += delta[i];
  return SetWeights(weights);
}

Result<Bytes> Model::Save() const {
  return CatchTorch(Code::kIo, "saving the module", [&]() -> Result<Bytes> {
    std::ostringstream stream;
    module_->script.save(stream);
    return ToBytes(AsBytes(stream.str()));
  });
}

Result<ModelOutput> Model::Run(std::span<const float> input, std::span<const int64_t> shape) {
  UseOneThread();
  return CatchTorch(Code::kInvalidArgument, "the model cannot run on this input", [&]() -> Result<ModelOutput> {
    const auto lock = HoldRandom(*module_);
    if (c10::multiply_integers(shape.begin(), shape.end()) != static_cast<int64_t>(input.size())) {
      return Fail(Code::kInvalidArgument, "the input's values do not fill its shape");
    }
    const at::NoGradGuard no_grad;
    at::Tensor tensor = at::empty(at::IntArrayRef(shape.data(), shape.size()), at::kFloat);
    std::copy(input.begin(), input.end(), tensor.data_ptr<float>());
    const at::Tensor output = module_->script.forward({tensor}).toTensor().contiguous();
    const float* values = output.data_ptr<float>();
    return ModelOutput{output.sizes().vec(), {values, values + output.numel()}};
  });
}

}  // namespace tributary

#include "device/torch/model.h"

#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <istream>
#include <map>
#include <mutex>
#include <set>
#include <streambuf>
#include <utility>

#include <ATen/Parallel.h>
#include <fmt/ranges.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/export.h>
#include <torch/csrc/jit/serialization/import.h>

#include "device/torch/attribute_check.h"
#include "device/torch/graph_check.h"
#include "device/torch/graph_walk.h"
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
    // Debian's LibTorch takes its matrix products from whatever libblas.so.3 is; OpenBLAS has a thread pool of its own,
    // which only its own call turns off.
    if (auto* set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))) set(1);
    LookAtCasts();
  });
}

// TorchScript files keep shared storage but make two tensors of it. One object again, so that an optimiser steps it
// once.
void TieSharedTensors(torch::jit::Module& script) {
  std::map<const void*, at::Tensor> first;
  for (torch::jit::Module module : script.modules()) {
    for (const auto& parameter : module.named_parameters(/*recurse=*/false)) {
      if (parameter.value.numel() == 0) continue;
      const auto [found, added] = first.emplace(parameter.value.data_ptr(), parameter.value);
      // Under a transpose it is another tensor, also where the sizes are equal.
      const bool same = found->second.sizes() == parameter.value.sizes() && found->second.strides() == parameter.value.strides();
      if (!added && same) module.setattr(parameter.name, found->second);
    }
  }
}

// All parameters, then all float buffers, each tensor once.
Status ListTensors(Model::Module& module) {
  std::set<const c10::TensorImpl*> seen;
  const auto add = [&](const std::string& name, const at::Tensor& tensor, bool is_parameter) -> Status {
    if (!seen.insert(tensor.unsafeGetTensorImpl()).second) return {};
    if (tensor.scalar_type() != at::kFloat) {
      return Fail(Code::kNotSupported,
                  "tensor {} is {}, not float32; nothing was changed. Call .float() on the module before you save it", name,
                  toString(tensor.scalar_type()));
    }
    module.all.push_back({name, tensor, is_parameter});
    return {};
  };
  for (const auto& parameter : module.script.named_parameters())
    RETURN_IF_ERROR(add(parameter.name, parameter.value, /*is_parameter=*/true));
  for (const auto& buffer : module.script.named_buffers()) {
    if (buffer.value.is_floating_point()) RETURN_IF_ERROR(add(buffer.name, buffer.value, /*is_parameter=*/false));
  }
  return {};
}

void Append(TensorTable& table, const NamedTensor& named) {
  table.tensors.push_back({named.name, named.tensor.sizes().vec(), table.parameter_count(),
                           static_cast<uint64_t>(named.tensor.numel())});
}

// Puts other tensors in the place of some, wherever the module holds them: an LSTM has its parameters in a list as well.
void Replace(const torch::jit::Module& script, const std::map<const c10::TensorImpl*, at::Tensor>& others) {
  for (torch::jit::Module module : script.modules()) {
    const auto replace = [&](const std::string& name, const at::Tensor& tensor) {
      const auto found = others.find(tensor.unsafeGetTensorImpl());
      if (found != others.end()) module.setattr(name, found->second);
    };
    for (const auto& parameter : module.named_parameters(/*recurse=*/false)) replace(parameter.name, parameter.value);
    for (const auto& buffer : module.named_buffers(/*recurse=*/false)) replace(buffer.name, buffer.value);
    for (const auto& attribute : module.named_attributes(/*recurse=*/false)) {
      if (!attribute.value.isList()) continue;
      c10::List<c10::IValue> list = attribute.value.toList();
      for (size_t i = 0; i < list.size(); ++i) {
        const c10::IValue held = list.get(i);
        if (!held.isTensor() || !held.toTensor().defined()) continue;
        const auto found = others.find(held.toTensor().unsafeGetTensorImpl());
        if (found != others.end()) list.set(i, found->second);
      }
    }
  }
}

bool MatchesAny(const std::vector<std::string>& patterns, const std::string& name) {
  return std::ranges::any_of(patterns, [&](const std::string& pattern) { return MatchesPattern(pattern, name); });
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

namespace {

// A model may warn, as torch.nn does, but what it says is its own text: it would reach a terminal with all its control
// characters.
class SilentWarnings final : public c10::WarningHandler {
 public:
  void process(const c10::SourceLocation&, const std::string&, bool) override {}
};

}  // namespace

void UseOneThread() {
  PrepareProcess();
  // The OpenMP thread count belongs to the calling thread; the call also sets LibTorch's own, which belong to the
  // process.
  static std::mutex mutex;
  thread_local bool done = false;
  if (done) return;
  // The optimising executor runs a graph differently the first times, and differently again once it has seen the shapes: the
  // same fit would give other bits the second time. The plain interpreter calls the operators as eager PyTorch does. LibTorch
  // keeps this setting for each thread.
  torch::jit::setGraphExecutorOptimize(false);
  static SilentWarnings silent;
  c10::Warning::set_warning_handler(&silent);
  const std::lock_guard lock(mutex);
  at::set_num_threads(1);
  done = true;
}

std::unique_lock<std::mutex> HoldRandom(const Model::Module& module, uint64_t seed) {
  static std::mutex mutex;
  if (!module.draws_random) return {};
  std::unique_lock lock(mutex);
  at::manual_seed(seed);
  return lock;
}

std::vector<NamedTensor> Model::Module::Trained() const {
  std::vector<NamedTensor> trained;
  for (const NamedTensor& named : all) {
    if (named.is_parameter && named.tensor.requires_grad()) trained.push_back(named);
  }
  return trained;
}

namespace {

void DropGradients(Model::Module& module) {
  for (NamedTensor& named : module.all) {
    if (named.is_parameter) named.tensor.mutable_grad() = at::Tensor();
  }
}

}  // namespace

TrainingMode::TrainingMode(Model::Module& module, bool steady) : module_(module) {
  DropGradients(module_);
  if (!steady) module_.script.train();
}

TrainingMode::~TrainingMode() {
  module_.script.eval();
  DropGradients(module_);
}

Error FromTorch(Code code, std::string_view what, const std::exception& caught) {
  const auto* error = dynamic_cast<const c10::Error*>(&caught);
  std::string text = error ? error->what_without_backtrace() : caught.what();
  // The interpreter puts its traceback first and the reason last: RuntimeError, or what the module raised.
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (const size_t reason = text.rfind("RuntimeError: "); reason != std::string::npos) {
    text.erase(0, reason + 14);
  } else if (text.find("Traceback of TorchScript") != std::string::npos) {
    text.erase(0, text.rfind('\n') + 1);
  }
  constexpr size_t kLongest = 500;
  if (text.size() > kLongest) text = text.substr(0, kLongest) + " …";
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return {code, std::string(what) + ": " + text};
}

namespace {

// LibTorch's words for a file that a newer PyTorch wrote name no remedy.
Error Explained(Error error) {
  constexpr std::string_view kRemedy =
      "the module was saved by a newer PyTorch than LibTorch 1.13, which devices run; nothing was changed. Save it with "
      "PyTorch 1.13 (Debian's python3-torch), without what is newer";
  const bool lacks = error.message.find("Unknown builtin op") != std::string::npos;
  const bool version = error.message.find("maximum supported version") != std::string::npos;
  if (!lacks && !version) return error;
  return {Code::kNotSupported, fmt::format("{} ({})", kRemedy, error.message)};
}

}  // namespace

Model::Model(std::unique_ptr<Module> module, TensorTable table)
    : module_(std::move(module)), table_(std::move(table)) {}
Model::~Model() = default;

Result<std::unique_ptr<Model>> Model::Wrap(std::unique_ptr<Module> module) {
  torch::jit::Module& script = module->script;
  if (!script.find_method("forward")) {
    return Fail(Code::kInvalidArgument,
                "the module has no method forward; define it in the class, and save it with torch.jit.script(m).save(…)");
  }
  module->draws_random = DrawsRandom(script);
  script.eval();
  TieSharedTensors(script);
  RETURN_IF_ERROR(ListTensors(*module));
  TensorTable table;
  for (const NamedTensor& named : module->all) {
    Append(table, named);
    module->tensors.push_back(named.tensor);
  }
  RETURN_IF_ERROR(CheckTensorTable(table));
  return std::unique_ptr<Model>(new Model(std::move(module), std::move(table)));
}

Result<std::unique_ptr<Model>> Model::Load(ByteView torchscript) {
  RETURN_IF_ERROR(CheckModuleArchive(torchscript));
  UseOneThread();
  const auto load = [&]() -> Result<std::unique_ptr<Model>> {
    ViewBuffer buffer(torchscript);
    std::istream stream(&buffer);
    auto module = std::make_unique<Module>();
    torch::jit::ExtraFilesMap files{{std::string(kManifestFile), ""}};
    module->script = torch::jit::load(stream, c10::Device(c10::kCPU), files);
    RETURN_IF_ERROR(CheckAttributes(module->script));
    RETURN_IF_ERROR(CheckGraphs(module->script));
    ASSIGN_OR_RETURN(auto model, Wrap(std::move(module)));
    if (const std::string& text = files[std::string(kManifestFile)]; !text.empty()) {
      ASSIGN_OR_RETURN(TaskManifest manifest, ParseTaskManifest(text));
      model->Adopt(std::move(manifest));
      model->has_manifest_ = true;
    }
    return model;
  };
  auto model = CatchTorch(Code::kInvalidArgument, "not a TorchScript module", load);
  if (!model) return Fail(Explained(model.error()));
  return model;
}

void Model::Adopt(TaskManifest manifest) {
  manifest_ = std::move(manifest);
  for (NamedTensor& named : module_->all) {
    if (named.is_parameter && MatchesAny(manifest_.frozen, named.name)) named.tensor.set_requires_grad(false);
  }
}

TensorTable Model::SharedTable() const {
  TensorTable table;
  for (const NamedTensor& named : module_->all) {
    const bool stays = (named.is_parameter && !named.tensor.requires_grad()) || MatchesAny(manifest_.frozen, named.name) ||
                       MatchesAny(manifest_.personal, named.name) || MatchesAny(manifest_.local, named.name);
    if (!stays) Append(table, named);
  }
  return table;
}

Status Model::Select(const TensorTable& table, const TaskManifest& manifest) {
  std::map<std::string_view, size_t> places;
  for (size_t i = 0; i < module_->all.size(); ++i) places.emplace(module_->all[i].name, i);
  std::vector<size_t> selected;
  for (const TensorEntry& entry : table.tensors) {
    const auto found = places.find(entry.name);
    if (found == places.end())
      return Fail(Code::kWrongTensorCount, "the task's tensor {} is not in the module", entry.name);
    const auto shape = module_->all[found->second].tensor.sizes().vec();
    if (shape != entry.shape) {
      return Fail(Code::kWrongTensorCount, "tensor {} has the shape [{}] in the module and [{}] in the task", entry.name,
                  fmt::join(shape, ", "), fmt::join(entry.shape, ", "));
    }
    selected.push_back(found->second);
  }
  return CatchTorch(Code::kTooLarge, "the model's tensors cannot be made", [&]() -> Status {
    const at::NoGradGuard no_grad;
    std::map<const c10::TensorImpl*, at::Tensor> made;
    module_->tensors.clear();
    for (const size_t i : selected) {
      at::Tensor& tensor = module_->all[i].tensor;
      if (!tensor.is_non_overlapping_and_dense()) {
        const at::Tensor real = at::empty(tensor.sizes(), at::kFloat).set_requires_grad(tensor.requires_grad());
        made.emplace(tensor.unsafeGetTensorImpl(), real);
        tensor = real;
      }
      module_->tensors.push_back(tensor);
    }
    Replace(module_->script, made);
    table_ = table;
    Adopt(manifest);
    return {};
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
  return CatchTorch(Code::kInvalidArgument, "the weights cannot be put into the module", [&]() -> Status {
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < module_->tensors.size(); ++i) {
      const TensorEntry& entry = table_.tensors[i];
      float* values = const_cast<float*>(weights.data() + entry.offset);  // from_blob has no const form; only read
      module_->tensors[i].copy_(at::from_blob(values, entry.shape, at::kFloat));
    }
    return {};
  });
}

Status Model::ApplyDelta(std::span<const float> delta) {
  RETURN_IF_ERROR(CheckCount(delta.size()));
  std::vector<float> weights = Weights();
  for (size_t i = 0; i < weights.size(); ++i) weights[i] += delta[i];
  return SetWeights(weights);
}

Result<Bytes> Model::Save() const {
  return CatchTorch(Code::kIo, "saving the module", [&]() -> Result<Bytes> {
    Bytes saved;
    // Enough for all, so that the bytes are not copied while they grow; memory that is not written to costs nothing.
    constexpr size_t kBesideTensors = 1 << 20;
    size_t needed = kBesideTensors;
    for (const NamedTensor& named : module_->all) needed += named.tensor.storage().nbytes();
    saved.reserve(needed);
    const auto write = [&](const void* bytes, size_t size) {
      Append(saved, {static_cast<const uint8_t*>(bytes), size});
      return size;
    };
    torch::jit::ExtraFilesMap files;
    const std::string manifest = has_manifest_ ? TaskManifestText(manifest_) : CarriedText(manifest_);
    if (!manifest.empty()) files.emplace(kManifestFile, manifest);
    torch::jit::ExportModule(module_->script, write, files);
    return saved;
  });
}

Result<Bytes> Model::SaveWithoutWeights() {
  return CatchTorch(Code::kIo, "saving the module", [&]() -> Result<Bytes> {
    std::map<const c10::TensorImpl*, at::Tensor> there, back;
    for (const at::Tensor& tensor : module_->tensors) {
      // Each has a storage of its own: tensors that share one are taken for one tensor when the file is read.
      const at::Tensor zero = at::zeros({}).expand(tensor.sizes()).set_requires_grad(tensor.requires_grad());
      there.emplace(tensor.unsafeGetTensorImpl(), zero);
      back.emplace(zero.unsafeGetTensorImpl(), tensor);
    }
    Replace(module_->script, there);
    Result<Bytes> saved = Save();
    Replace(module_->script, back);
    return saved;
  });
}

Result<ModelOutput> Model::Run(std::span<const float> input, std::span<const int64_t> shape) {
  UseOneThread();
  return CatchTorch(Code::kInvalidArgument, "the model cannot run on this input", [&]() -> Result<ModelOutput> {
    const auto lock = HoldRandom(*module_, /*seed=*/1);
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

#include "device/torch/module_faults.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <torch/csrc/jit/ir/constants.h>

#include "device/torch/graph_walk.h"
#include "device/torch/torch_module.h"

namespace tributary {
namespace {

Status CheckParameters(const Model::Module& module) {
  const auto parameters = std::ranges::count_if(module.all, &NamedTensor::is_parameter);
  if (parameters == 0) {
    return Fail(Code::kNotSupported,
                "the module has no parameters, so that there is nothing to train; torch.jit.freeze and "
                "torch.jit.optimize_for_inference turn them into constants. Save the module as torch.jit.script returned it");
  }
  if (module.Trained().empty()) {
    return Fail(Code::kNotSupported,
                "all {} parameters are frozen, so that there is nothing to train. Set requires_grad = True on those to train, "
                "or take them out of \"frozen\" in tributary.json",
                parameters);
  }
  return {};
}

// How many elements its memory spans from the first to the last.
int64_t Span(const at::Tensor& tensor) {
  int64_t span = 1;
  for (int64_t i = 0; i < tensor.dim(); ++i) span += (tensor.size(i) - 1) * tensor.stride(i);
  return span;
}

// Two of its elements may lie in one place: a stride that does not reach over the dimensions below it.
bool OverlapsItself(const at::Tensor& tensor) {
  std::vector<std::pair<int64_t, int64_t>> dimensions;  // stride, size
  for (int64_t i = 0; i < tensor.dim(); ++i) {
    if (tensor.size(i) > 1) dimensions.emplace_back(tensor.stride(i), tensor.size(i));
  }
  std::ranges::sort(dimensions);
  int64_t reach = 0;
  for (const auto& [stride, size] : dimensions) {
    if (stride <= reach) return true;
    reach += (size - 1) * stride;
  }
  return false;
}

Status CheckMemory(const Model::Module& module) {
  std::vector<const NamedTensor*> tensors;
  for (const NamedTensor& named : module.all) {
    if (named.tensor.numel() == 0) continue;
    if (OverlapsItself(named.tensor)) {
      return Fail(Code::kNotSupported,
                  "tensor {} is expanded: several of its elements are one value in memory, and a step would change it "
                  "several times. Save it with .clone(), or expand it in forward",
                  named.name);
    }
    tensors.push_back(&named);
  }
  std::ranges::sort(tensors, {}, [](const NamedTensor* named) { return named->tensor.data_ptr(); });
  for (size_t i = 1; i < tensors.size(); ++i) {
    const at::Tensor &first = tensors[i - 1]->tensor, &second = tensors[i]->tensor;
    if (static_cast<const float*>(second.data_ptr()) >= static_cast<const float*>(first.data_ptr()) + Span(first)) continue;
    if (first.data_ptr() == second.data_ptr() && first.numel() == second.numel()) {
      return Fail(Code::kNotSupported,
                  "tensors {} and {} are one weight in two shapes (tied under a transpose or a view), and would be stepped "
                  "twice. Keep one of them, and write .t() or .view() in forward",
                  tensors[i - 1]->name, tensors[i]->name);
    }
    return Fail(Code::kNotSupported,
                "tensors {} and {} share memory: a step of one changes the other. Save them with .clone()",
                tensors[i - 1]->name, tensors[i]->name);
  }
  return {};
}

std::string LineOf(const torch::jit::Node& node) {
  const auto place = node.sourceRange().file_line_col();
  if (!place) return "";
  return fmt::format(" ({}, line {})", std::get<0>(*place), std::get<1>(*place));
}

// The operator's argument that says in which mode it works, if it is a constant.
std::optional<bool> FixedMode(const torch::jit::Node& node) {
  const c10::FunctionSchema* schema = node.maybeSchema();
  if (!schema) return std::nullopt;
  for (size_t i = 0; i < std::min(schema->arguments().size(), node.inputs().size()); ++i) {
    const std::string& name = schema->arguments()[i].name();
    if (name != "training" && name != "train") continue;
    const auto value = torch::jit::toIValue(node.input(i));
    if (value && value->isBool()) return value->toBool();
  }
  return std::nullopt;
}

// An LSTM without dropout has the argument too, but no mode.
bool HasModes(const torch::jit::Node& node) {
  const std::string_view name = node.kind().toUnqualString();
  return name.find("dropout") != name.npos || name.find("norm") != name.npos || name.find("rrelu") != name.npos;
}

Status CheckGraphs(const Model::Module& module) {
  bool reads_mode = false;
  Status fixed, device;
  WalkTaskMethods(module.script, [&](std::string_view method, const torch::jit::Node& node) {
    if (node.kind() == c10::prim::GetAttr && node.s(c10::attr::name) == "training") reads_mode = true;
    if (const auto mode = FixedMode(node); fixed && mode && HasModes(node)) {
      fixed = Fail(Code::kNotSupported,
                   "{} in {}{} is fixed in {} mode, and the module does not look whether it is trained: it was traced. Save "
                   "it with torch.jit.script instead of torch.jit.trace, and pass training=self.training to functions",
                   node.kind().toQualString(), method, LineOf(node), *mode ? "training" : "evaluation");
    }
    const bool constant = node.kind() == c10::prim::Constant && node.output()->type()->kind() == c10::TypeKind::DeviceObjType;
    const auto value = constant ? torch::jit::toIValue(node.output()) : c10::nullopt;
    if ((value && value->isDevice() && !value->toDevice().is_cpu()) || node.kind() == c10::Symbol::fromQualString("aten::cuda")) {
      device = Fail(Code::kNotSupported,
                    "{}{} makes tensors on \"{}\", which devices do not have. Use the device of an input instead: "
                    "torch.zeros(3, device=x.device)",
                    method, LineOf(node), value ? value->toDevice().str() : "cuda");
    }
    return device.has_value();
  });
  RETURN_IF_ERROR(device);
  return reads_mode ? Status() : fixed;
}

}  // namespace

Status CheckTrainable(Model& model) {
  return CatchTorch(Code::kInvalidArgument, "the module cannot be read", [&]() -> Status {
    const Model::Module& module = model.module();
    RETURN_IF_ERROR(CheckParameters(module));
    RETURN_IF_ERROR(CheckMemory(module));
    return CheckGraphs(module);
  });
}

}  // namespace tributary

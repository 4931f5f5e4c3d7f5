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

// The value of an operator's argument, where it is fixed in the code.
std::optional<c10::IValue> FixedArgument(const torch::jit::Node& node, std::initializer_list<std::string_view> names) {
  const c10::FunctionSchema* schema = node.maybeSchema();
  if (!schema) return std::nullopt;
  for (size_t i = 0; i < std::min(schema->arguments().size(), node.inputs().size()); ++i) {
    if (std::ranges::find(names, schema->arguments()[i].name()) == names.end()) continue;
    if (auto value = torch::jit::toIValue(node.input(i))) return value;
  }
  return std::nullopt;
}

// The mode that an operator works in whatever the module is told, where the mode matters: a dropout of a fixed share, or
// a batch normalisation. (Attention drops in whatever mode, a share that is 0 in evaluation.)
std::optional<bool> FixedMode(const torch::jit::Node& node) {
  const auto mode = FixedArgument(node, {"training", "train"});
  if (!mode || !mode->isBool()) return std::nullopt;
  const std::string_view name = node.kind().toUnqualString();
  const auto is = [&](std::string_view part) { return name.find(part) != name.npos; };
  if (is("norm")) return mode->toBool();
  if (is("rrelu")) return mode->toBool();
  const bool recurrent = is("lstm") || is("gru") || is("rnn_");
  if (!recurrent && !is("dropout")) return std::nullopt;
  const auto share = FixedArgument(node, {"p", "dropout"});
  const bool drops = share && share->isDouble() && share->toDouble() != 0;
  return drops ? std::optional(mode->toBool()) : std::nullopt;
}

Status CheckGraphs(const Model::Module& module) {
  Status fixed, device;
  WalkTaskMethods(module.script, [&](std::string_view method, const torch::jit::Node& node) {
    if (const auto mode = FixedMode(node); fixed && mode) {
      fixed = Fail(Code::kNotSupported,
                   "{} in {}{} is fixed in {} mode, whether the module is trained or not: it was traced, or a function was "
                   "called without the mode. Save it with torch.jit.script instead of torch.jit.trace, and pass "
                   "training=self.training to functions: F.dropout alone always drops",
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
  return fixed;
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

#include "device/torch/graph_check.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/frontend/function_schema_parser.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/runtime/operator.h>

#include "protocol/catalogue/module_operators.h"

namespace tributary {
namespace {

using torch::jit::Function;
using torch::jit::Node;

// Every operator that reads a value of such a type looks at its kind first. Objects and tuples are read by place instead.
bool IsCheckedOnUse(const c10::Type& type) {
  switch (type.kind()) {
    case c10::TypeKind::TensorType:
    case c10::TypeKind::NumberType:
    case c10::TypeKind::IntType:
    case c10::TypeKind::FloatType:
    case c10::TypeKind::ComplexType:
    case c10::TypeKind::BoolType:
    case c10::TypeKind::StringType:
    case c10::TypeKind::NoneType:
    case c10::TypeKind::DeviceObjType:
      return true;
    case c10::TypeKind::ListType:
    case c10::TypeKind::DictType:
    case c10::TypeKind::OptionalType:
    case c10::TypeKind::UnionType:
      return std::ranges::all_of(type.containedTypes(), [](const auto& inner) { return IsCheckedOnUse(*inner); });
    default:
      return false;
  }
}

// LibTorch writes unchecked_cast where the code has asked for the type before, but a file can have it anywhere. From
// Optional[T] to T it does no harm: reading None as a T fails.
bool MayCast(const c10::Type& from, const c10::Type& to) {
  if (from == to) return true;
  if (const auto* optional = from.castRaw<c10::OptionalType>(); optional && *optional->getElementType() == to) return true;
  return IsCheckedOnUse(from) && IsCheckedOnUse(to);
}

// LibTorch's own does nothing. A tuple that is no `to` stays as it is here too, and whoever runs the cast fails.
torch::jit::Operation MakeCast(const Node* node) {
  return [to = node->output()->type()](torch::jit::Stack& stack) {
    TORCH_CHECK(!stack.back().isTuple() || stack.back().type()->isSubtypeOf(*to), "a tuple of another type");
  };
}

class GraphWalk {
 public:
  explicit GraphWalk(const torch::jit::Module& module) {
    for (const auto& part : module.named_modules()) {
      const auto type = part.value.type();
      if (type->name()) paths_.emplace(type->name()->qualifiedName(), part.name);
      for (Function* method : type->methods()) Add(method);
      for (Function* hook : type->getForwardPreHooks()) Add(hook);
      for (Function* hook : type->getForwardHooks()) Add(hook);
    }
    // Also of classes that are no modules, and functions of none.
    for (Function* function : module.type()->compilation_unit()->get_functions()) Add(function);
  }

  Status Run() {
    while (!waiting_.empty()) {
      Function* const function = waiting_.back();
      waiting_.pop_back();
      if (!function->isGraphFunction()) {
        return Fail(Code::kModelRefused,
                    "the model calls {}, which is C++ code; it was not run. Take it out of the model",
                    NameOf(*function));
      }
      RETURN_IF_ERROR(Check(*function, *torch::jit::toGraphFunction(*function).graph()->block()));
    }
    return {};
  }

 private:
  void Add(Function* function) {
    if (seen_.insert(function).second) waiting_.push_back(function);
  }

  Status Check(const Function& function, const torch::jit::Block& block) {
    for (const Node* node : block.nodes()) RETURN_IF_ERROR(Check(function, *node));
    return {};
  }

  Status Check(const Function& function, const Node& node) {
    const std::string name = node.kind().toQualString();
    if (!MayCallOperator(name)) {
      return Fail(
          Code::kModelRefused,
          "the model's method {} calls {}{}, which no model may call; it was not run. Take it out of the model; a "
          "model computes with the tensors that it is given",
          NameOf(function), name, PlaceOf(node));
    }
    if (node.kind() == torch::jit::prim::unchecked_cast && !MayCast(*node.input()->type(), *node.output()->type())) {
      return Fail(Code::kModelRefused,
                  "the model's method {} takes a value of type {} for one of type {} without looking{}; it was not run. Of "
                  "classes, tuples and Any, a model may only refine Optional[T] to T",
                  NameOf(function), TextOf(*node.input()->type()), TextOf(*node.output()->type()), PlaceOf(node));
    }
    if (node.kind() == torch::jit::prim::CallFunction) {
      if (const auto callee = node.input(0)->type()->cast<c10::FunctionType>()) Add(callee->function());
    } else if (node.kind() == torch::jit::prim::CallMethod) {
      // Behind an interface stands a class of the same compilation unit, whose functions are all looked at.
      if (const auto type = node.input(0)->type()->cast<c10::ClassType>())
        Add(&type->getMethod(node.s(torch::jit::attr::name)));
    }
    for (const torch::jit::Block* inner : node.blocks()) RETURN_IF_ERROR(Check(function, *inner));
    for (const auto attribute : node.attributeNames()) {
      if (node.kindOf(attribute) == torch::jit::AttributeKind::g)
        RETURN_IF_ERROR(Check(function, *node.g(attribute)->block()));
      if (node.kindOf(attribute) != torch::jit::AttributeKind::gs) continue;
      for (const auto& graph : node.gs(attribute)) RETURN_IF_ERROR(Check(function, *graph->block()));
    }
    return {};
  }

  // "__torch__.Inner.helper" is sub.helper where the module has one of this class under the name sub.
  std::string NameOf(const Function& function) const {
    const c10::QualifiedName& name = function.qualname();
    const auto path = paths_.find(name.prefix());
    if (path == paths_.end()) return name.qualifiedName();
    return path->second.empty() ? name.name() : path->second + "." + name.name();
  }

  static std::string PlaceOf(const Node& node) {
    auto range = node.sourceRange();
    if (const auto python = range.findSourceRangeThatGenerated()) range = *python;
    const auto place = range.file_line_col();
    if (!place) return "";
    return fmt::format(" ({}, line {})", std::get<0>(*place).substr(0, kLongestText), std::get<1>(*place));
  }

  static std::string TextOf(const c10::Type& type) { return type.annotation_str().substr(0, kLongestText); }

  static constexpr size_t kLongestText = 200;  // the file chooses names


  std::map<std::string, std::string> paths_;  // of modules by the name of their class
  std::set<const Function*> seen_;
  std::vector<Function*> waiting_;
};

}  // namespace

void LookAtCasts() {
  constexpr const char* kCast = "prim::unchecked_cast(t x) -> t";
  torch::jit::deregisterOperator(torch::jit::parseSchema(kCast));
  torch::jit::registerOperator({kCast, MakeCast, c10::AliasAnalysisKind::INTERNAL_SPECIAL_CASE});
}

Status CheckGraphs(const torch::jit::Module& module) { return GraphWalk(module).Run(); }

}  // namespace tributary

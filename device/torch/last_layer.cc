#include "device/torch/last_layer.h"

#include <algorithm>

#include <torch/csrc/jit/runtime/interpreter.h>

#include "device/torch/graph_walk.h"

namespace tributary {
namespace {

constexpr size_t kBelowBatch = 100;
constexpr uint64_t kBelowBytes = 256ull << 20;

// The tensor of the module that a value of its graph is; undefined: another value.
at::Tensor TensorOf(const torch::jit::Module& script, const torch::jit::Value& value, const torch::jit::Value& self) {
  std::vector<std::string> names;
  const torch::jit::Value* at = &value;
  while (at != &self) {
    if (at->node()->kind() != c10::prim::GetAttr) return {};
    names.push_back(at->node()->s(c10::attr::name));
    at = at->node()->input(0);
  }
  if (names.empty()) return {};
  c10::IValue found = script._ivalue();
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    if (!found.isObject() || !found.toObjectRef().type()->hasAttribute(*name)) return {};
    found = found.toObjectRef().getAttr(*name);
  }
  return found.isTensor() ? found.toTensor() : at::Tensor();
}

bool IsAmong(const std::vector<at::Tensor>& tensors, const at::Tensor& tensor) {
  return tensor.defined() && std::ranges::any_of(tensors, [&](const at::Tensor& one) { return one.is_same(tensor); });
}

// Whether no other node than `last` is given one of the tensors.
bool UsesOnlyIn(const torch::jit::Node& last, const torch::jit::Module& script, const std::vector<at::Tensor>& trained,
                const torch::jit::Value& self, at::ArrayRef<const torch::jit::Block*> blocks) {
  for (const torch::jit::Block* block : blocks) {
    for (const torch::jit::Node* node : block->nodes()) {
      if (node == &last) continue;
      for (const torch::jit::Value* input : node->inputs()) {
        if (IsAmong(trained, TensorOf(script, *input, self))) return false;
      }
      if (!UsesOnlyIn(last, script, trained, self, node->blocks())) return false;
    }
  }
  return true;
}

}  // namespace

Result<std::optional<LastLayer>> LastLayer::Of(const torch::jit::Module& script, TaskMethods& methods, Batcher& batches,
                                               const std::vector<at::Tensor>& trained,
                                               std::span<const uint32_t> examples) {
  if (methods.loss()) return std::nullopt;
  const auto graph = InlinedCopy(*script.get_method("forward").graph());
  if (graph->outputs().size() != 1) return std::nullopt;
  const torch::jit::Value& self = *graph->inputs()[0];
  const torch::jit::Node& last = *graph->outputs()[0]->node();
  if (last.kind() != c10::aten::linear) return std::nullopt;
  LastLayer layer;
  layer.weight_ = TensorOf(script, *last.input(1), self);
  layer.bias_ = TensorOf(script, *last.input(2), self);
  const size_t own = (layer.weight_.defined() ? 1 : 0) + (layer.bias_.defined() ? 1 : 0);
  const bool all = IsAmong(trained, layer.weight_) && (!layer.bias_.defined() || IsAmong(trained, layer.bias_));
  const bool has_bias = layer.bias_.defined() || last.input(2)->mustBeNone();
  if (!all || !has_bias || own != trained.size() || layer.weight_.dim() != 2) return std::nullopt;
  if (examples.size() * static_cast<uint64_t>(layer.weight_.size(1)) * sizeof(float) > kBelowBytes) return std::nullopt;
  const torch::jit::Block* const root = graph->block();
  if (!UsesOnlyIn(last, script, trained, self, root)) return std::nullopt;

  torch::jit::Value* const input = last.input(0);
  graph->eraseOutput(0);
  graph->registerOutput(input);
  const torch::jit::Code below(graph, "below the last layer");
  const at::NoGradGuard no_grad;
  layer.below_ = at::empty({static_cast<int64_t>(examples.size()), layer.weight_.size(1)}, at::kFloat);
  for (size_t begin = 0; begin < examples.size(); begin += kBelowBatch) {
    const auto some = examples.subspan(begin, std::min(kBelowBatch, examples.size() - begin));
    ASSIGN_OR_RETURN(const Batch batch, batches.Make(some));
    torch::jit::Stack stack = methods.forward().Values(batch);
    stack.insert(stack.begin(), script._ivalue());
    torch::jit::InterpreterState(below).run(stack);
    const at::Tensor values = stack.back().toTensor();
    if (values.dim() != 2 || values.size(0) != static_cast<int64_t>(some.size()) || values.size(1) != layer.weight_.size(1))
      return std::nullopt;
    layer.below_.narrow(0, static_cast<int64_t>(begin), static_cast<int64_t>(some.size())).copy_(values);
    for (size_t i = 0; i < some.size(); ++i) layer.rows_[some[i]] = static_cast<int64_t>(begin + i);
  }
  return std::optional(std::move(layer));
}

at::Tensor LastLayer::Output(std::span<const uint32_t> examples) const {
  at::Tensor rows = at::empty({static_cast<int64_t>(examples.size())}, at::kLong);
  for (size_t i = 0; i < examples.size(); ++i) rows.data_ptr<int64_t>()[i] = rows_.at(examples[i]);
  return at::linear(below_.index_select(0, rows), weight_, bias_);
}

}  // namespace tributary

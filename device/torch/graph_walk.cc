#include "device/torch/graph_walk.h"

#include <algorithm>

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/inliner.h>

namespace tributary {
namespace {

bool Walk(std::string_view method, at::ArrayRef<const torch::jit::Block*> blocks, const NodeVisitor& visit) {
  for (const torch::jit::Block* block : blocks) {
    for (const torch::jit::Node* node : block->nodes()) {
      if (!visit(method, *node) || !Walk(method, node->blocks(), visit)) return false;
    }
  }
  return true;
}

bool HasCalls(const torch::jit::Block& block) {
  for (const torch::jit::Node* node : block.nodes()) {
    if (node->kind() == c10::prim::CallMethod || node->kind() == c10::prim::CallFunction) return true;
    for (const torch::jit::Block* inner : node->blocks()) {
      if (HasCalls(*inner)) return true;
    }
  }
  return false;
}

// One pass of LibTorch's inliner puts the callee's graph in as it is, and counts on its calls having been inlined before.
// The optimising executor, which we switch off, does that.
void InlineAll(torch::jit::Graph& graph) {
  constexpr int kDeepest = 64;  // calls in calls; one through an interface stays
  for (int depth = 0; depth < kDeepest && HasCalls(*graph.block()); ++depth) torch::jit::Inline(graph);
}

// An argument by which an operator draws: a generator, or the share that a dropout inside it drops.
bool DrawsBy(const c10::Argument& argument, const torch::jit::Value& value) {
  if (argument.type()->repr_str().find("Generator") != std::string::npos) return true;
  if (!argument.name().starts_with("dropout")) return false;
  const auto constant = torch::jit::toIValue(&value);
  return !constant || !constant->isDouble() || constant->toDouble() != 0;
}

bool Draws(const torch::jit::Node& node) {
  // Those that take no generator: the kinds of dropout, rand_like, the initialisers of torch.nn.init, manual_seed.
  static constexpr std::string_view kParts[] = {"dropout", "rand", "normal_", "uniform_", "rrelu", "seed"};
  const std::string_view name = node.kind().toUnqualString();
  if (node.isNondeterministic()) return true;
  if (std::ranges::any_of(kParts, [&](std::string_view part) { return name.find(part) != name.npos; })) return true;
  const c10::FunctionSchema* schema = node.maybeSchema();
  if (!schema) return false;
  for (size_t i = 0; i < std::min(schema->arguments().size(), node.inputs().size()); ++i) {
    if (DrawsBy(schema->arguments()[i], *node.input(i))) return true;
  }
  return false;
}

}  // namespace

std::shared_ptr<torch::jit::Graph> InlinedCopy(const torch::jit::Graph& graph) {
  const auto copy = const_cast<torch::jit::Graph&>(graph).copy();  // it changes nothing
  InlineAll(*copy);
  return copy;
}

void WalkTaskMethods(const torch::jit::Module& script, const NodeVisitor& visit) {
  for (const std::string_view name : kTaskMethods) {
    const auto method = script.find_method(std::string(name));
    if (!method) continue;
    const auto graph = InlinedCopy(*method->graph());
    const torch::jit::Block* root = graph->block();
    if (!Walk(name, root, visit)) return;
  }
}

bool DrawsRandom(const torch::jit::Module& script) {
  bool draws = false;
  WalkTaskMethods(script, [&](std::string_view, const torch::jit::Node& node) { return !(draws = Draws(node)); });
  return draws;
}

}  // namespace tributary

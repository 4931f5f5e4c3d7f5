#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include <torch/script.h>

// Includes LibTorch: for the .cc files of this folder only.
namespace tributary {

// The methods that a task calls; those that a module does not have are left out.
inline constexpr std::string_view kTaskMethods[] = {"forward", "loss", "metrics"};

// With everything that it calls inlined.
std::shared_ptr<torch::jit::Graph> InlinedCopy(const torch::jit::Graph& graph);

// Shows every operator of the module's task methods with everything that they call inlined. `visit` returns false to end.
using NodeVisitor = std::function<bool(std::string_view method, const torch::jit::Node& node)>;
void WalkTaskMethods(const torch::jit::Module& script, const NodeVisitor& visit);

// Whether a task method may draw from the process's random generator: an operator that takes a generator, one that has a
// dropout of its own (LSTM, attention) which is not 0, or one that draws by its name. A false hit only costs that such fits
// run one after the other.
bool DrawsRandom(const torch::jit::Module& script);

}  // namespace tributary

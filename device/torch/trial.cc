#include "device/torch/trial.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include <fmt/ranges.h>

#include "device/torch/batch.h"
#include "device/torch/task_methods.h"
#include "device/torch/torch_module.h"
#include "device/torch/trial_batch.h"

namespace tributary {
namespace {

constexpr uint64_t kTrialSeed = 1;

// The bits of one run, to be compared with another's.
struct Run {
  double loss = 0;
  std::vector<size_t> gradients;
  TaskMetrics metrics;
  bool operator==(const Run&) const = default;
};

std::string_view TypeName(at::ScalarType type) {
  for (size_t i = 0; i <= static_cast<size_t>(DType::kFp64); ++i) {
    if (ScalarTypeOf(static_cast<DType>(i)) == type) return DTypeName(static_cast<DType>(i));
  }
  return toString(type);
}

std::string ShapeText(const at::Tensor& tensor) {
  return fmt::format("{} [{}]", TypeName(tensor.scalar_type()), fmt::join(tensor.sizes().vec(), ", "));
}

// The module's buffers are afterwards as they were: a step in training mode moves running means and counters.
class KeptBuffers {
 public:
  explicit KeptBuffers(const torch::jit::Module& script) {
    for (const at::Tensor& buffer : script.buffers()) kept_.emplace_back(buffer, buffer.clone());
  }
  KeptBuffers(const KeptBuffers&) = delete;
  KeptBuffers& operator=(const KeptBuffers&) = delete;
  ~KeptBuffers() {
    const at::NoGradGuard no_grad;
    for (auto& [buffer, value] : kept_) buffer.copy_(value);
  }

 private:
  std::vector<std::pair<at::Tensor, at::Tensor>> kept_;
};

Result<std::vector<size_t>> Gradients(const Model::Module& module) {
  std::vector<size_t> hashes;
  std::vector<std::string> without;
  for (const NamedTensor& named : module.Trained()) {
    const at::Tensor given = named.tensor.grad();
    if (!given.defined()) {
      without.push_back(named.name);
      continue;
    }
    if (given.numel() == 0) continue;
    const at::Tensor gradient = (given.is_sparse() ? given.to_dense() : given).contiguous();
    // The extremes take over a NaN, and need no copy of the gradient.
    const auto [least, most] = at::aminmax(gradient);
    if (!std::isfinite(least.item<float>()) || !std::isfinite(most.item<float>()))
      return Fail(Code::kNotFinite, "the gradient of tensor {} is not finite in the trial", named.name);
    hashes.push_back(std::hash<std::string_view>()({static_cast<const char*>(gradient.data_ptr()), gradient.nbytes()}));
  }
  if (without.empty()) return hashes;
  constexpr size_t kMostNames = 10;
  const size_t more = without.size() - std::min(without.size(), kMostNames);
  without.resize(without.size() - more);
  return Fail(Code::kNotSupported,
              "the loss does not depend on {}{}, so that they would never be trained. Use them, set requires_grad = False, or "
              "write them into \"frozen\" in {}",
              fmt::join(without, ", "), more == 0 ? "" : fmt::format(" and {} more", more), kManifestFile);
}

Result<Run> RunOnce(Model::Module& module, TaskMethods& methods, const Batch& batch) {
  Run run;
  {
    const KeptBuffers kept(module.script);
    const auto lock = HoldRandom(module, kTrialSeed);
    const TrainingMode training(module);
    ASSIGN_OR_RETURN(const BatchLoss loss, methods.LossOf(batch));
    run.loss = loss.mean.item<double>();
    if (!std::isfinite(run.loss)) return Fail(Code::kNotFinite, "the loss is {} in the trial, which draws its values at random", run.loss);
    if (!loss.mean.requires_grad()) {
      return Fail(Code::kNotSupported,
                  "the loss depends on no parameter: it was computed without gradients (no_grad, detach, argmax, rounding)");
    }
    loss.mean.backward();
    ASSIGN_OR_RETURN(run.gradients, Gradients(module));
  }
  const auto lock = HoldRandom(module, kTrialSeed);
  const at::NoGradGuard no_grad;
  const KeptBuffers kept(module.script);
  RETURN_IF_ERROR(methods.AddMetrics(batch, run.metrics));
  return run;
}

Status CheckUsed(const TaskManifest& manifest, const std::vector<bool>& used) {
  for (size_t i = 0; i < used.size(); ++i) {
    if (used[i]) continue;
    return Fail(Code::kInvalidArgument, "no method takes the input '{}' of the manifest. Take it out, or name an argument so",
                manifest.inputs[i].name);
  }
  return {};
}

Status CheckMetricNames(const TaskManifest& manifest, const TaskMetrics& metrics) {
  for (const auto& [name, direction] : manifest.metrics) {
    if (metrics.contains(name)) continue;
    std::vector<std::string> names;
    for (const auto& [there, metric] : metrics) names.push_back(there);
    return Fail(Code::kInvalidArgument, "the manifest names the metric '{}', an evaluation gives {}", name,
                fmt::join(names, ", "));
  }
  return {};
}

using Outputs = std::vector<std::pair<std::string, at::Tensor>>;

Status CheckOutputs(const TaskManifest& manifest, const Outputs& outputs) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : outputs) names.push_back(name);
  for (const TaskOutput& declared : manifest.outputs) {
    const auto found = std::ranges::find(outputs, declared.name, &Outputs::value_type::first);
    if (found == outputs.end()) {
      return Fail(Code::kInvalidArgument, "the manifest declares the output '{}', forward returns {}", declared.name,
                  fmt::join(names, ", "));
    }
    if (found->second.scalar_type() != ScalarTypeOf(declared.dtype) || !HasShape(found->second, declared.shape)) {
      return Fail(Code::kInvalidArgument, "the manifest declares the output '{}' as {} [{}], forward returns {}", declared.name,
                  DTypeName(declared.dtype), fmt::join(declared.shape, ", "), ShapeText(found->second));
    }
  }
  return {};
}

Status CheckGoldenOutputs(const Golden& golden, const Outputs& outputs) {
  for (const auto& [name, expected] : golden.outputs) {
    const auto found = std::ranges::find(outputs, name, &Outputs::value_type::first);
    if (found == outputs.end())
      return Fail(Code::kInvalidArgument, "golden has the output '{}', which forward does not return", name);
    const at::Tensor got = found->second.to(at::kDouble);
    if (got.sizes() != expected.sizes())
      return Fail(Code::kInvalidArgument, "golden's output '{}' is {}, forward returns {}", name, ShapeText(expected), ShapeText(got));
    const double off = expected.numel() == 0 ? 0 : (got - expected).abs().max().item<double>();
    if (!(off <= golden.tolerance)) {
      return Fail(Code::kInvalidArgument, "forward's output '{}' is off golden's by {}, over the tolerance of {}", name, off,
                  golden.tolerance);
    }
  }
  return {};
}

std::string ArgumentsOf(const BoundMethod& method) {
  std::vector<std::string> names;
  for (const auto& argument : method.arguments) names.push_back(argument.name + (argument.input ? "" : " (default)"));
  return fmt::format("{}", fmt::join(names, ", "));
}

// The first of the shapes that images of bytes and tables have which forward takes: a module without a manifest does not say.
std::optional<Batch> GuessBatch(const Model::Module& module, TaskManifest manifest, TaskMethods& methods,
                                std::optional<Loss>& loss) {
  std::vector<std::vector<int64_t>> shapes = {{-1, 1, 28, 28}, {-1, 3, 32, 32}, {-1, 3, 224, 224}, {-1, 28, 28}};
  const auto matrix = std::ranges::find_if(module.all, [](const NamedTensor& named) { return named.tensor.dim() == 2; });
  if (matrix != module.all.end()) shapes.insert(shapes.begin(), {-1, matrix->tensor.size(1)});
  for (const std::vector<int64_t>& shape : shapes) {
    manifest.inputs[0].shape = shape;
    auto batch = CatchTorch(Code::kInvalidArgument, "forward", [&] { return MakeTrialBatch(manifest, methods, loss); });
    if (batch) return *batch;
  }
  return std::nullopt;
}

// The batch of the trial, and the loss for it; nullopt: there is none.
Result<std::optional<Batch>> BatchOf(Model& model, const std::optional<Golden>& golden, TaskMethods& methods,
                                     std::optional<Loss>& loss) {
  const at::NoGradGuard no_grad;
  const KeptBuffers kept(model.module().script);
  if (golden) {
    const auto target = std::ranges::find(model.manifest().inputs, TaskInput::Role::kTarget, &TaskInput::role);
    if (!methods.loss() && !loss) {
      const at::Tensor& tensor = golden->inputs[static_cast<size_t>(target - model.manifest().inputs.begin())];
      ASSIGN_OR_RETURN(const auto outputs, methods.Outputs(golden->inputs));
      loss = SuitableLoss(outputs[0].second, !tensor.is_floating_point(), tensor.sizes().vec());
    }
    return std::optional(golden->inputs);
  }
  if (!model.has_manifest()) return GuessBatch(model.module(), model.manifest(), methods, loss);
  ASSIGN_OR_RETURN(Batch batch, MakeTrialBatch(model.manifest(), methods, loss));
  return std::optional(std::move(batch));
}

}  // namespace

Result<Trial> TryModel(Model& model, std::optional<Loss> loss) {
  UseOneThread();
  return CatchTorch(Code::kInvalidArgument, "the trial of the module failed", [&]() -> Result<Trial> {
    Model::Module& module = model.module();
    const TaskManifest& manifest = model.manifest();
    ASSIGN_OR_RETURN(TaskMethods methods, TaskMethods::Bind(module.script, manifest, loss.value_or(Loss::kCrossEntropy)));
    RETURN_IF_ERROR(CheckUsed(manifest, methods.used()));
    ASSIGN_OR_RETURN(const auto golden, ReadGolden(manifest, methods.used()));
    ASSIGN_OR_RETURN(const auto made, BatchOf(model, golden, methods, loss));
    Trial trial;
    if (!made) return trial;
    const Batch& batch = *made;
    trial.batch = golden ? "the golden batch" : "a made batch";
    if (!methods.loss()) trial.builtin = loss.value_or(Loss::kCrossEntropy);
    methods.set_builtin(loss.value_or(Loss::kCrossEntropy));
    ASSIGN_OR_RETURN(const Run run, RunOnce(module, methods, batch));
    ASSIGN_OR_RETURN(const Run again, RunOnce(module, methods, batch));
    if (!(run == again)) {
      return Fail(Code::kNotSupported,
                  "the second run of the same batch gives other bits (loss {} and {}); it depends on something besides its "
                  "weights and inputs, as a counter, the time or a random source of its own",
                  run.loss, again.loss);
    }
    trial.loss = run.loss;
    trial.metrics = run.metrics;
    RETURN_IF_ERROR(CheckMetricNames(manifest, run.metrics));
    const auto lock = HoldRandom(module, kTrialSeed);
    const at::NoGradGuard no_grad;
    const KeptBuffers kept(module.script);
    ASSIGN_OR_RETURN(const Outputs outputs, methods.Outputs(batch));
    RETURN_IF_ERROR(CheckOutputs(manifest, outputs));
    if (golden) RETURN_IF_ERROR(CheckGoldenOutputs(*golden, outputs));
    for (const auto& [name, tensor] : outputs) trial.outputs.emplace_back(name, ShapeText(tensor));
    trial.methods.emplace_back("forward", ArgumentsOf(methods.forward()));
    if (methods.loss()) trial.methods.emplace_back("loss", ArgumentsOf(*methods.loss()));
    if (methods.metrics()) trial.methods.emplace_back("metrics", ArgumentsOf(*methods.metrics()));
    return trial;
  });
}

}  // namespace tributary

#include "device/torch/task_methods.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/ranges.h>

#include "protocol/base/ids.h"

namespace tributary {
namespace {

constexpr size_t kMostMetrics = 16;  // of an evaluation's payload, the loss among them
constexpr std::string_view kWeightSuffix = ".weight";

std::string Text(at::IntArrayRef shape) { return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", ")); }

std::string InputNames(const TaskManifest& manifest) {
  std::vector<std::string_view> names;
  for (const TaskInput& input : manifest.inputs) names.push_back(input.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::optional<size_t> FirstOf(const TaskManifest& manifest, TaskInput::Role role) {
  const auto found = std::ranges::find(manifest.inputs, role, &TaskInput::role);
  if (found == manifest.inputs.end()) return std::nullopt;
  return static_cast<size_t>(found - manifest.inputs.begin());
}

// forward(x) of a manifest with one feature takes it whatever x is called, as modules of before there were manifests.
bool TakesTheOnlyFeature(const std::string& method, const c10::FunctionSchema& schema, const TaskManifest& manifest) {
  size_t needed = 0;
  for (const c10::Argument& argument : schema.arguments()) needed += argument.default_value() ? 0 : 1;
  return method == "forward" && needed == 2 &&
         std::ranges::count(manifest.inputs, TaskInput::Role::kFeature, &TaskInput::role) == 1;
}

Result<BoundMethod> BindOne(torch::jit::Method method, const TaskManifest& manifest) {
  const c10::FunctionSchema schema = method.function().getSchema();
  const bool only = TakesTheOnlyFeature(method.name(), schema, manifest);
  BoundMethod to{std::move(method), {}};
  for (size_t i = 1; i < schema.arguments().size(); ++i) {  // 0 is self
    const c10::Argument& argument = schema.arguments()[i];
    BoundMethod::Argument bound{argument.name(), std::nullopt, {}};
    const auto found = std::ranges::find(manifest.inputs, argument.name(), &TaskInput::name);
    if (found != manifest.inputs.end()) {
      bound.input = static_cast<size_t>(found - manifest.inputs.begin());
    } else if (argument.default_value()) {
      bound.otherwise = *argument.default_value();
    } else if (only) {
      bound.input = FirstOf(manifest, TaskInput::Role::kFeature);
    } else {
      return Fail(Code::kInvalidArgument,
                  "the method {} takes the argument '{}', which is no input of the task; its inputs are {}", to.method.name(),
                  argument.name(), InputNames(manifest));
    }
    to.arguments.push_back(std::move(bound));
  }
  return to;
}

// One value of a dictionary of metrics.
Result<at::Tensor> MetricTensor(const std::string& name, const c10::IValue& value, int64_t examples) {
  const at::Tensor tensor = value.isTensor() ? value.toTensor().detach() : at::scalar_tensor(value.toScalar());
  if (tensor.numel() == 1 || (tensor.dim() == 1 && tensor.size(0) == examples)) return tensor.to(at::kDouble);
  return Fail(Code::kInvalidArgument, "metric {} has the shape {}; it must be one number, or one for each of {} examples", name,
              Text(tensor.sizes()), examples);
}

}  // namespace

std::vector<c10::IValue> BoundMethod::Values(const Batch& batch) const {
  std::vector<c10::IValue> values;
  values.reserve(arguments.size() + 1);
  for (const Argument& argument : arguments)
    values.push_back(argument.input ? c10::IValue(batch[*argument.input]) : argument.otherwise);
  return values;
}

c10::IValue BoundMethod::Call(const Batch& batch) { return method(Values(batch)); }

bool BoundMethod::Takes(size_t input) const {
  return std::ranges::any_of(arguments, [&](const Argument& argument) { return argument.input == input; });
}

Result<TaskMethods> TaskMethods::Bind(const torch::jit::Module& script, const TaskManifest& manifest, Loss loss) {
  ASSIGN_OR_RETURN(BoundMethod forward, BindOne(script.get_method("forward"), manifest));
  TaskMethods to(manifest, loss, std::move(forward));
  const auto bind = [&](const char* name, std::optional<BoundMethod>& method) -> Status {
    const auto found = script.find_method(name);
    if (!found) return {};
    ASSIGN_OR_RETURN(method, BindOne(*found, manifest));
    return {};
  };
  RETURN_IF_ERROR(bind("loss", to.loss_));
  RETURN_IF_ERROR(bind("metrics", to.metrics_));
  to.target_ = FirstOf(manifest, TaskInput::Role::kTarget);
  if (!to.loss_ && !to.target_) {
    return Fail(Code::kInvalidArgument,
                "the module has no method loss and the task no input of role target; it needs one of them");
  }
  to.weight_ = FirstOf(manifest, TaskInput::Role::kWeight);
  for (size_t i = 0; i < manifest.inputs.size(); ++i) {
    to.used_.push_back(to.forward_.Takes(i) || (to.loss_ ? to.loss_->Takes(i) : i == to.target_) ||
                       (to.metrics_ && to.metrics_->Takes(i)) || i == to.weight_);
  }
  return to;
}

Result<std::vector<std::pair<std::string, at::Tensor>>> TaskMethods::Outputs(const Batch& batch) {
  const c10::IValue value = forward_.Call(batch);
  std::vector<std::pair<std::string, at::Tensor>> outputs;
  const auto add = [&](std::string name, const c10::IValue& one) {
    if (one.isTensor()) outputs.emplace_back(std::move(name), one.toTensor());
  };
  const auto name_of = [&](size_t place) {
    if (place < manifest_.outputs.size()) return manifest_.outputs[place].name;
    return place == 0 ? std::string("output") : fmt::format("output{}", place);
  };
  if (value.isGenericDict()) {
    for (const auto& entry : value.toGenericDict()) {
      if (entry.key().isString()) add(entry.key().toStringRef(), entry.value());
    }
    if (!manifest_.outputs.empty()) {
      std::ranges::stable_partition(outputs, [&](const auto& output) { return output.first == manifest_.outputs[0].name; });
    }
  } else if (value.isTuple()) {
    for (size_t i = 0; i < value.toTupleRef().elements().size(); ++i) add(name_of(i), value.toTupleRef().elements()[i]);
  } else {
    add(name_of(0), value);
  }
  if (outputs.empty())
    return Fail(Code::kInvalidArgument, "forward returns no tensor, tuple of tensors or dictionary of tensors by name");
  return outputs;
}

Result<at::Tensor> TaskMethods::WeightsOf(const Batch& batch) const {
  if (!weight_) return at::Tensor();
  const at::Tensor weights = batch[*weight_].to(at::kFloat);
  if (weights.numel() != weights.size(0))
    return Fail(Code::kInvalidArgument, "the weights have the shape {}, not one for each example", Text(weights.sizes()));
  if (!weights.ge(0).logical_and(weights.isfinite()).all().item<bool>())
    return Fail(Code::kBadExample, "an example's weight is below 0 or not finite");
  return weights.reshape(weights.numel());
}

Result<BatchLoss> TaskMethods::OwnLoss(const Batch& batch) {
  const c10::IValue value = loss_->Call(batch);
  if (!value.isTensor()) return Fail(Code::kInvalidArgument, "loss returns {}, not a tensor", value.tagKind());
  const at::Tensor loss = value.toTensor();
  const auto used = std::ranges::find_if(batch, [](const at::Tensor& tensor) { return tensor.defined(); });
  const int64_t n = used->size(0);
  if (loss.dim() == 0) return BatchLoss{loss, static_cast<double>(n)};
  if (loss.dim() != 1 || loss.size(0) != n) {
    return Fail(Code::kInvalidArgument, "loss returns the shape {}; it must be one number, or one for each of {} examples",
                Text(loss.sizes()), n);
  }
  if (!weight_ || loss_->Takes(*weight_)) return BatchLoss{loss.mean(), static_cast<double>(n)};
  ASSIGN_OR_RETURN(const at::Tensor weights, WeightsOf(batch));
  const at::Tensor total = weights.sum();
  return BatchLoss{(weights * loss).sum() / total.clamp_min(1e-12), total.item<double>()};
}

Result<BatchLoss> TaskMethods::BuiltInLoss(const Batch& batch, std::optional<TaskMetric>* accuracy) {
  ASSIGN_OR_RETURN(const auto outputs, Outputs(batch));
  return LossOf(batch, outputs[0].second, accuracy);
}

Result<BatchLoss> TaskMethods::LossOf(const Batch& batch, const at::Tensor& output,
                                      std::optional<TaskMetric>* accuracy) {
  ASSIGN_OR_RETURN(at::Tensor weights, WeightsOf(batch));
  Comparison comparison{builtin_, output, batch[*target_], std::move(weights), std::nullopt};
  if (const double pad = manifest_.inputs[*target_].pad; pad < 0) comparison.uncounted = static_cast<int64_t>(pad);
  return Compare(comparison, accuracy);
}

Result<BatchLoss> TaskMethods::LossOf(const Batch& batch) {
  return loss_ ? OwnLoss(batch) : BuiltInLoss(batch, nullptr);
}

Status TaskMethods::AddMetrics(const Batch& batch, TaskMetrics& sums) {
  std::optional<TaskMetric> accuracy;
  ASSIGN_OR_RETURN(const BatchLoss loss, loss_ ? OwnLoss(batch) : BuiltInLoss(batch, &accuracy));
  const auto add = [&](const std::string& name, const TaskMetric& metric) {
    sums[name].sum += metric.sum;
    sums[name].weight += metric.weight;
  };
  // A batch in which nothing counts has no mean.
  const double sum = loss.weight > 0 ? loss.mean.item<double>() * loss.weight : 0;
  if (!std::isfinite(sum)) return Fail(Code::kNotFinite, "the loss is not finite");
  add("loss", {sum, loss.weight});
  if (accuracy) add("accuracy", *accuracy);
  return metrics_ ? AddOwnMetrics(batch, sums) : Status();
}

Status TaskMethods::AddOwnMetrics(const Batch& batch, TaskMetrics& sums) {
  const c10::IValue value = metrics_->Call(batch);
  if (!value.isGenericDict())
    return Fail(Code::kInvalidArgument, "metrics returns {}, not a dictionary of tensors by name", value.tagKind());
  const auto used = std::ranges::find_if(batch, [](const at::Tensor& tensor) { return tensor.defined(); });
  const int64_t n = used->size(0);
  const auto metrics = value.toGenericDict();
  for (const auto& entry : metrics) {
    const std::string name = entry.key().toStringRef();
    if (name.ends_with(kWeightSuffix) && metrics.contains(name.substr(0, name.size() - kWeightSuffix.size()))) continue;
    if (const Status named = CheckName(name, "metric"); !named || name == "loss")
      return Fail(Code::kInvalidArgument, "metrics returns the name '{}'; a name is 1 to 64 of a-z, 0-9, '.', '_', '-', and not loss", name.substr(0, 64));
    ASSIGN_OR_RETURN(const at::Tensor values, MetricTensor(name, entry.value(), n));
    TaskMetric metric{values.sum().item<double>(), static_cast<double>(values.numel())};
    if (const std::string weight_name = name + std::string(kWeightSuffix); metrics.contains(weight_name)) {
      ASSIGN_OR_RETURN(const at::Tensor weights, MetricTensor(weight_name, metrics.at(weight_name), n));
      metric.weight = weights.sum().item<double>();
    } else if (values.numel() == 1) {
      metric = {metric.sum * static_cast<double>(n), static_cast<double>(n)};
    }
    if (!std::isfinite(metric.sum) || !(metric.weight >= 0 && std::isfinite(metric.weight)))
      return Fail(Code::kNotFinite, "metric {} is {} of {}", name, metric.sum, metric.weight);
    sums[name].sum += metric.sum;
    sums[name].weight += metric.weight;
  }
  if (sums.size() > kMostMetrics)
    return Fail(Code::kInvalidArgument, "an evaluation has {} metrics with the loss, at most {} may be", sums.size(), kMostMetrics);
  return {};
}

}  // namespace tributary

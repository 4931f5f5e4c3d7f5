#include "device/torch/trial_batch.h"

#include <algorithm>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "device/examples/repeatable_random.h"
#include "protocol/base/json.h"

namespace tributary {
namespace {

constexpr int64_t kTrialExamples = 4;
constexpr int64_t kTrialLength = 8;

// Nested lists of numbers of one depth and, at each depth, one length.
Status Flatten(const nlohmann::json& list, size_t depth, std::vector<int64_t>& shape, std::vector<double>& values) {
  constexpr size_t kDeepest = 8;
  if (list.is_number() || list.is_boolean()) {
    if (depth != shape.size()) return Fail(Code::kInvalidArgument, "its lists are not of one depth");
    values.push_back(list.is_boolean() ? (list.get<bool>() ? 1 : 0) : list.get<double>());
    return {};
  }
  if (!list.is_array() || list.empty() || depth >= kDeepest)
    return Fail(Code::kInvalidArgument, "it must be nested lists of numbers, at most {} deep", kDeepest);
  const auto length = static_cast<int64_t>(list.size());
  if (values.empty() && depth == shape.size()) shape.push_back(length);
  if (depth >= shape.size() || shape[depth] != length) return Fail(Code::kInvalidArgument, "its lists are not of one length");
  for (const auto& one : list) RETURN_IF_ERROR(Flatten(one, depth + 1, shape, values));
  return {};
}

Result<at::Tensor> ToTensor(const std::string& name, const nlohmann::json& lists, DType dtype,
                            const std::vector<int64_t>& declared) {
  std::vector<int64_t> shape;
  std::vector<double> values;
  if (const Status flat = Flatten(lists, 0, shape, values); !flat)
    return Fail(Code::kInvalidArgument, "golden tensor '{}': {}", name, flat.error().message);
  const at::Tensor tensor = at::empty(shape, at::kDouble);
  std::ranges::copy(values, tensor.data_ptr<double>());
  if (!HasShape(tensor, declared)) {
    return Fail(Code::kInvalidArgument, "golden tensor '{}' has the shape [{}], the manifest says [{}]", name,
                fmt::join(shape, ", "), fmt::join(declared, ", "));
  }
  return tensor.to(ScalarTypeOf(dtype));
}

std::vector<int64_t> ConcreteShape(const TaskInput& input) {
  std::vector<int64_t> shape = input.shape;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == -1) shape[i] = i == 0 ? kTrialExamples : kTrialLength;
  }
  return shape;
}

// Whole values are below `most`, and the first is the highest of them: it must have its place in the module too.
at::Tensor Values(DType dtype, const std::vector<int64_t>& shape, int64_t most, RepeatableRandom& random) {
  const bool real = dtype == DType::kFp32 || dtype == DType::kFp64;
  const at::Tensor values = at::empty(shape, at::kDouble);
  double* value = values.data_ptr<double>();
  for (int64_t i = 0; i < values.numel(); ++i)
    value[i] = real ? random.Normal() : static_cast<double>(random.Below(static_cast<uint64_t>(most)));
  if (!real && values.numel() > 0) value[0] = static_cast<double>(most - 1);
  return values.to(ScalarTypeOf(dtype));
}

}  // namespace

Loss SuitableLoss(const at::Tensor& output, bool whole, const std::vector<int64_t>& target) {
  if (!whole) return Loss::kMeanSquaredError;
  const bool one_logit = output.size(-1) == 1 || output.numel() == c10::multiply_integers(target);
  return one_logit ? Loss::kBinaryCrossEntropy : Loss::kCrossEntropy;
}

bool HasShape(const at::Tensor& tensor, const std::vector<int64_t>& declared) {
  return declared.empty() || std::ranges::equal(tensor.sizes(), declared, [](int64_t has, int64_t wants) {
           return wants == -1 || has == wants;
         });
}

Result<std::optional<Golden>> ReadGolden(const TaskManifest& manifest, const std::vector<bool>& used) {
  if (manifest.golden.empty()) return std::optional<Golden>();
  ASSIGN_OR_RETURN(const nlohmann::json object, ParseJson(AsBytes(manifest.golden), JsonForm::kAny));
  Golden golden{Batch(manifest.inputs.size()), {}, object.value("tolerance", 1e-5)};
  const nlohmann::json inputs = object.value("inputs", nlohmann::json::object());
  for (const auto& [name, lists] : inputs.items()) {
    const TaskInput* input = manifest.Find(name);
    if (!input) return Fail(Code::kInvalidArgument, "golden has the input '{}', which the manifest does not name", name);
    ASSIGN_OR_RETURN(golden.inputs[static_cast<size_t>(input - manifest.inputs.data())],
                     ToTensor(name, lists, input->dtype, input->shape));
  }
  int64_t examples = -1;
  for (size_t i = 0; i < used.size(); ++i) {
    const at::Tensor& tensor = golden.inputs[i];
    if (!used[i]) continue;
    if (!tensor.defined() || tensor.dim() == 0)
      return Fail(Code::kInvalidArgument, "golden lacks the input '{}'", manifest.inputs[i].name);
    if (examples != -1 && tensor.size(0) != examples)
      return Fail(Code::kInvalidArgument, "golden's inputs are not of one number of examples");
    examples = tensor.size(0);
  }
  const nlohmann::json outputs = object.value("outputs", nlohmann::json::object());
  for (const auto& [name, lists] : outputs.items()) {
    ASSIGN_OR_RETURN(at::Tensor tensor, ToTensor(name, lists, DType::kFp64, {}));
    golden.outputs.emplace_back(name, std::move(tensor));
  }
  return std::optional(std::move(golden));
}

Result<Batch> MakeTrialBatch(const TaskManifest& manifest, TaskMethods& methods, std::optional<Loss>& loss) {
  RepeatableRandom random(DeriveSeed(1, "trial"));
  Batch batch(manifest.inputs.size());
  const auto is_target = [&](size_t i) {
    return manifest.inputs[i].role == TaskInput::Role::kTarget && !methods.forward().Takes(i);
  };
  for (size_t i = 0; i < batch.size(); ++i) {
    const TaskInput& input = manifest.inputs[i];
    if (!methods.used()[i] || is_target(i)) continue;
    const bool weight = input.role == TaskInput::Role::kWeight;
    std::vector<int64_t> shape = ConcreteShape(input);
    if (shape.empty() && weight) shape = {kTrialExamples};
    if (shape.empty()) {
      return Fail(Code::kInvalidArgument,
                  "the trial needs the shape of the input '{}'; write it in {}, or a golden batch", input.name, kManifestFile);
    }
    const auto most = std::max<int64_t>(2, static_cast<int64_t>(input.categories.size()));
    batch[i] = weight ? at::ones(shape, ScalarTypeOf(input.dtype)) : Values(input.dtype, shape, most, random);
  }
  ASSIGN_OR_RETURN(const auto outputs, methods.Outputs(batch));
  const at::Tensor& output = outputs[0].second;
  for (size_t i = 0; i < batch.size(); ++i) {
    const TaskInput& input = manifest.inputs[i];
    if (!methods.used()[i] || !is_target(i)) continue;
    const bool whole = input.dtype != DType::kFp32 && input.dtype != DType::kFp64;
    std::vector<int64_t> shape = ConcreteShape(input);
    if (shape.empty()) shape = output.sizes().vec();
    if (input.shape.empty() && whole && shape.size() > 1) shape.pop_back();
    if (!methods.loss() && !loss) loss = SuitableLoss(output, whole, shape);
    const bool binary = !methods.loss() && loss == Loss::kBinaryCrossEntropy;
    const bool has_classes = !binary && output.dim() == static_cast<int64_t>(shape.size()) + 1;
    int64_t classes = has_classes ? output.size(-1) : 2;
    if (!manifest.classes.empty()) classes = static_cast<int64_t>(manifest.classes.size());
    batch[i] = Values(whole || binary ? DType::kInt64 : input.dtype, shape, classes, random).to(ScalarTypeOf(input.dtype));
  }
  return batch;
}

}  // namespace tributary

#include "device/learn/learner.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

namespace tributary {
namespace {

std::string ShapeText(std::span<const int64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

// A scalar per example may be asked for as [-1] or [-1, 1]; -1 in the input takes any length.
bool Fits(std::span<const int64_t> field, std::span<const int64_t> input) {
  if (input.empty()) return true;
  const auto asked = input.subspan(1);
  if (field.empty() && asked.size() == 1 && asked[0] == 1) return true;
  return std::ranges::equal(field, asked, [](int64_t has, int64_t wants) { return wants == -1 || has == wants; });
}

bool IsReal(DType dtype) { return dtype == DType::kFp32 || dtype == DType::kFp64; }

Status CheckInput(const TaskInput& input, const ExampleSet& set) {
  const ExampleColumn* column = set.Find(input.field);
  if (!column) {
    std::string names;
    for (const ExampleColumn& each : set.columns) names += (names.empty() ? "" : ", ") + each.field.name;
    return Fail(Code::kMissingField, "the task's input {} needs the field '{}'; the examples have: {}", input.name,
                input.field, names);
  }
  if (!Fits(column->field.shape, input.shape)) {
    return Fail(Code::kBadExample, "field '{}' has the shape {}, the task's input {} takes {} without the batch",
                input.field, ShapeText(column->field.shape), input.name, ShapeText(std::span(input.shape).subspan(1)));
  }
  // Whole numbers become real ones exactly enough; the other way a value would be lost in silence.
  if (IsReal(column->field.dtype) && !IsReal(input.dtype)) {
    return Fail(Code::kBadExample, "field '{}' is {}, the task's input {} takes {}", input.field,
                DTypeName(column->field.dtype), input.name, DTypeName(input.dtype));
  }
  return {};
}

}  // namespace

Status CheckHasModule(const TaskManifest& manifest) {
  if (manifest.module != ModuleFormat::kNone) return {};
  return Fail(Code::kNeedsLearner,
              "the task has no module: this task needs a learner program, which learner.command names");
}

bool IsLearnerFailure(Code code) {
  return code == Code::kLearnerCrashed || code == Code::kLearnerMemory || code == Code::kLearnerTimeout ||
         code == Code::kLearnerProtocol;
}

bool SpeaksOfMemory(std::string_view words) {
  static constexpr auto kSigns = std::to_array<std::string_view>(
      {"MemoryError", "bad_alloc", "can't allocate memory", "Cannot allocate memory", "not enough memory",
       "failed to map segment"});  // the dynamic linker, at the start
  return std::ranges::any_of(kSigns, [&](std::string_view sign) { return words.find(sign) != std::string_view::npos; });
}

Status CheckExamples(const TaskManifest& manifest, const TaskExamples& examples) {
  const Examples& some = examples.training.size() > 0 ? examples.training : examples.held_out;
  if (some.size() == 0) return Fail(Code::kFewExamples, "the device has no examples");
  for (const TaskInput& input : manifest.inputs) RETURN_IF_ERROR(CheckInput(input, *some.set));
  // An evaluator keeps all that it has for evaluation.
  if (examples.training.size() > 0 && examples.training.size() < manifest.min_examples) {
    return Fail(Code::kFewExamples, "the device has {} examples to train on, the task asks for {}",
                examples.training.size(), manifest.min_examples);
  }
  return {};
}

Status CheckRequest(const TaskManifest& manifest, const ExampleSet& request) {
  RETURN_IF_ERROR(CheckExampleSet(request));
  if (request.count == 0) return Fail(Code::kFewExamples, "there is no example to predict for");
  for (const TaskInput& input : manifest.inputs) {
    if (input.role == TaskInput::Role::kFeature) RETURN_IF_ERROR(CheckInput(input, request));
  }
  return {};
}

bool NeedsExamples(const TaskManifest& manifest) {
  return std::ranges::any_of(manifest.inputs, [](const TaskInput& input) {
    return input.role == TaskInput::Role::kFeature && input.scaling.kind == Scaling::Kind::kDeviceStandard;
  });
}

Result<std::unique_ptr<LoadedModel>> Learner::Load(const LearnOrder&, const Examples&) {
  return Fail(Code::kNotSupported, "this learner trains and cannot predict");
}

}  // namespace tributary

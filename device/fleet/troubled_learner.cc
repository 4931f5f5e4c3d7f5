#include "device/fleet/troubled_learner.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <thread>

#include "device/examples/field_value.h"
#include "device/examples/repeatable_random.h"

namespace tributary {
namespace {

constexpr std::chrono::milliseconds kStep{50};
constexpr double kStepSeconds = 0.05;

// Waits so long. Whether the work was cancelled meanwhile.
bool IsCancelledWithin(const LearnHooks& hooks, double seconds) {
  for (double left = seconds; left > 0; left -= kStepSeconds) {
    if (hooks.cancelled()) return true;
    std::this_thread::sleep_for(kStep);
  }
  return hooks.cancelled();
}

uint64_t SeedFor(const TroublePlan& plan, const LearnOrder& order, std::string_view purpose) {
  return DeriveSeed(DeriveSeed(plan.seed, order.device.text()), purpose, Number(order.task.latest));
}

void Spoil(std::vector<float>& delta, const TroublePlan& plan, uint64_t seed) {
  if (plan.attack == Attack::kFlipSigns) {
    for (float& value : delta) value = static_cast<float>(-plan.attack_scale * value);
  }
  if (plan.attack != Attack::kSendNoise) return;
  double squares = 0;
  for (const float value : delta) squares += double{value} * value;
  const double sigma = plan.attack_scale * std::sqrt(squares / static_cast<double>(std::max<size_t>(delta.size(), 1)));
  RepeatableRandom random(seed);
  for (float& value : delta) value = static_cast<float>(sigma * random.Normal());
}

bool IsOfReals(DType dtype) { return dtype == DType::kFp32 || dtype == DType::kFp64; }

}  // namespace

uint64_t TroublePlan::SlowOf(uint64_t devices) const {
  return static_cast<uint64_t>(std::llround(slow_share * static_cast<double>(devices)));
}
uint64_t TroublePlan::HostileOf(uint64_t devices) const {
  return static_cast<uint64_t>(std::llround(hostile_share * static_cast<double>(devices)));
}

TroubledLearner::TroubledLearner(std::unique_ptr<Learner> inner, const TroublePlan& plan,
                                 const std::vector<std::string>& devices, int64_t fits_at_once)
    : inner_(std::move(inner)), plan_(plan), cores_(fits_at_once) {
  for (size_t i = 0; i < devices.size(); ++i) devices_.emplace(devices[i], i);
}

Result<Learned> TroubledLearner::Learn(const LearnOrder& order, const TaskExamples& examples, const LearnHooks& hooks) {
  const auto found = devices_.find(order.device.text());
  TRIBUTARY_CHECK(found != devices_.end()) << order.device.text();
  const auto ended = [] { return Fail(Code::kShuttingDown, "the fit was cancelled"); };
  const bool drops_out = RepeatableRandom(SeedFor(plan_, order, "dropout")).Unit() < plan_.dropout_share;
  if (drops_out && IsCancelledWithin(hooks, std::numeric_limits<double>::infinity())) return ended();
  const bool hostile = IsHostile(found->second);
  TaskExamples used = examples;
  if (hostile && plan_.attack == Attack::kFlipLabels) {
    ASSIGN_OR_RETURN(used, WithFlippedLabels(order.task.manifest, examples));
  }
  ASSIGN_OR_RETURN(Learned learned, LearnInTurn(order, used, hooks));
  if (hostile) Spoil(learned.delta, plan_, SeedFor(plan_, order, "attack"));
  if (IsSlow(found->second) && IsCancelledWithin(hooks, plan_.slow_seconds)) return ended();
  return learned;
}

Result<Learned> TroubledLearner::LearnInTurn(const LearnOrder& order, const TaskExamples& examples,
                                             const LearnHooks& hooks) {
  while (!cores_.try_acquire_for(kStep)) {
    if (hooks.cancelled()) return Fail(Code::kShuttingDown, "the fit was cancelled");
  }
  auto learned = inner_->Learn(order, examples, hooks);
  cores_.release();
  return learned;
}

Result<TaskExamples> WithFlippedLabels(const TaskManifest& manifest, TaskExamples examples) {
  const auto target = std::ranges::find(manifest.inputs, TaskInput::Role::kTarget, &TaskInput::role);
  if (target == manifest.inputs.end())
    return Fail(Code::kInvalidArgument, "the task has no target whose labels could be flipped");
  auto flipped = std::make_shared<ExampleSet>(*examples.training.set);
  const auto column =
      std::ranges::find(flipped->columns, target->field, [](const ExampleColumn& one) { return one.field.name; });
  if (column == flipped->columns.end())
    return Fail(Code::kMissingField, "the examples have no field {}", target->field);
  const DType dtype = column->field.dtype;
  const size_t size = SizeOf(dtype);
  double highest = manifest.classes.empty() ? 0 : static_cast<double>(manifest.classes.size() - 1);
  if (IsOfReals(dtype)) {
    highest = 0;
  } else if (manifest.classes.empty()) {
    for (size_t at = 0; at < column->values.size(); at += size)
      highest = std::max(highest, RealAt(dtype, column->values.data() + at));
  }
  Bytes values;
  for (size_t at = 0; at < column->values.size(); at += size) {
    const double value = highest - RealAt(dtype, column->values.data() + at);
    RETURN_IF_ERROR(IsOfReals(dtype) ? AppendReal(dtype, value, values)
                                     : AppendWhole(dtype, static_cast<int64_t>(value), values));
  }
  column->values = std::move(values);
  examples.training.set = std::move(flipped);
  return examples;
}

}  // namespace tributary

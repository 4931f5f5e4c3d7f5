#include "protocol/plan/training_plan.h"

#include <array>
#include <utility>

namespace tributary {
namespace {

constexpr auto kLosses = std::to_array<std::pair<Loss, std::string_view>>(
    {{Loss::kCrossEntropy, "cross_entropy"}, {Loss::kMeanSquaredError, "mean_squared_error"}});
constexpr auto kOptimizers =
    std::to_array<std::pair<Optimizer, std::string_view>>({{Optimizer::kSgd, "sgd"}, {Optimizer::kAdamW, "adamw"}});

constexpr uint32_t kMostBatch = 65'536;
// A thousand passes over a device's own examples is a mistake, not a plan.
constexpr uint32_t kMostEpochs = 1'000;

template <class Value, size_t N>
std::string_view NameIn(const std::array<std::pair<Value, std::string_view>, N>& table, Value value) {
  for (const auto& [known, name] : table) {
    if (known == value) return name;
  }
  return "unknown";
}

template <class Value, size_t N>
Result<Value> ByNameIn(const std::array<std::pair<Value, std::string_view>, N>& table, std::string_view what,
                       std::string_view text) {
  std::string names;
  for (const auto& [value, name] : table) {
    if (name == text) return value;
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return Fail(Code::kInvalidArgument,
              std::string(what) + " '" + std::string(text.substr(0, 80)) + "' is not one of " + names);
}

tl::unexpected<Error> FailField(std::string_view field, double value, std::string_view bounds) {
  return Fail(Code::kInvalidArgument,
              std::string(field) + " = " + std::to_string(value) + " is not in " + std::string(bounds));
}

}  // namespace

Status CheckTrainingPlan(const TrainingPlan& plan) {
  if (NameIn(kLosses, plan.loss) == "unknown") return FailField("loss", static_cast<uint8_t>(plan.loss), "[0, 1]");
  if (NameIn(kOptimizers, plan.optimizer) == "unknown") {
    return FailField("optimizer", static_cast<uint8_t>(plan.optimizer), "[0, 1]");
  }
  if (!(plan.learning_rate > 0 && plan.learning_rate <= 10))
    return FailField("learning_rate", plan.learning_rate, "(0, 10]");
  if (!(plan.momentum >= 0 && plan.momentum < 1)) return FailField("momentum", plan.momentum, "[0, 1)");
  if (!(plan.weight_decay >= 0 && plan.weight_decay <= 1))
    return FailField("weight_decay", plan.weight_decay, "[0, 1]");
  if (plan.batch_size < 1 || plan.batch_size > kMostBatch)
    return FailField("batch_size", plan.batch_size, "[1, 65536]");
  if (plan.epochs < 1 || plan.epochs > kMostEpochs) return FailField("epochs", plan.epochs, "[1, 1000]");
  return {};
}

std::string_view LossName(Loss loss) { return NameIn(kLosses, loss); }
std::string_view OptimizerName(Optimizer optimizer) { return NameIn(kOptimizers, optimizer); }
Result<Loss> LossByName(std::string_view name) { return ByNameIn(kLosses, "loss", name); }
Result<Optimizer> OptimizerByName(std::string_view name) { return ByNameIn(kOptimizers, "optimizer", name); }

}  // namespace tributary

#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "device/learn/strategies/strategy.h"
#include "tests/support/test_fleet.h"

namespace tributary {

// A trainer whose loss is half the squared distance to an optimum, so that every result can be worked out by hand: a step
// is x <- x - rate * ((x - optimum) + pull * (x - towards)), one for each epoch. In float, as a learner would; the order of
// a pass shows in the optimum of its first step, so that different orders give different bits.
class ArithmeticTrainer final : public Trainer {
 public:
  ArithmeticTrainer(TensorTable table, Values base, Values optimum, const TrainingPlan& plan)
      : table_(std::move(table)), base_(std::move(base)), optimum_(std::move(optimum)), plan_(plan) {}

  const TensorTable& tensors() const override { return table_; }
  std::vector<bool> trained() const override {
    std::vector<bool> trained;
    for (const TensorEntry& tensor : table_.tensors) trained.push_back(!tensor.name.starts_with("bn.running"));
    return trained;
  }
  const Values& base() const override { return base_; }
  Result<UpdateMeta> Train(Values& values, const TrainingPass& pass) override {
    passes.push_back(pass);
    const uint32_t epochs = pass.epochs != 0 ? pass.epochs : plan_.epochs;
    const auto rate = static_cast<float>(plan_.learning_rate * pass.rate);
    for (uint32_t epoch = 0; epoch < epochs; ++epoch) {
      for (size_t tensor = 0; tensor < table_.tensors.size(); ++tensor) {
        if (!pass.trains.empty() && !pass.trains[tensor]) continue;
        const TensorEntry& entry = table_.tensors[tensor];
        for (uint64_t i = entry.offset; i < entry.offset + entry.size; ++i) {
          float slope = values[i] - optimum_[i] - (epoch == 0 ? 1e-3f * static_cast<float>(pass.order) : 0);
          if (pass.pull != 0) slope += static_cast<float>(pass.pull) * (values[i] - pass.towards[i]);
          values[i] -= rate * slope;
        }
      }
    }
    const bool over = std::ranges::any_of(values, [](float value) { return !(std::abs(value) < 1e12f); });
    if (over || (diverges == pass.order && passes.size() > 1)) return Fail(Code::kNotFinite, "it diverged");
    return UpdateMeta{10, values.size(), 0.5, 1, 1};
  }
  Result<std::optional<EvaluationResult>> Measure(const Values& values) override {
    if (!held_out) return std::nullopt;
    if (measured_ < right.size())
      return EvaluationResult{EvaluatedModel::kGlobal, 20, 1, {{"accuracy", {right[measured_++], 20}}, {"loss", {1, 20}}}};
    double loss = 0;
    for (size_t i = 0; i < values.size(); ++i) loss += (values[i] - goal_[i]) * (values[i] - goal_[i]);
    if (!(loss < 1e12)) return Fail(Code::kNotFinite, "the loss");
    return EvaluationResult{EvaluatedModel::kGlobal, 4, 1, {{"loss", {4 * loss, 4}}}};
  }
  Result<double> Slope(const Values& values, const Values& direction) override {
    double slope = 0;
    for (size_t i = 0; i < values.size(); ++i) slope += double{values[i] - optimum_[i]} * double{direction[i]};
    return slope;
  }
  // Of the held-out examples, which need not agree with the training examples.
  void set_goal(Values goal) { goal_ = std::move(goal); }

  std::vector<TrainingPass> passes;
  bool held_out = true;
  uint64_t diverges = 99;  // the order of the pass that fails
  std::vector<double> right;  // answers of 20, of the models in the order in which they are measured; empty: losses only

 private:
  size_t measured_ = 0;
  TensorTable table_;
  Values base_, optimum_;
  const TrainingPlan& plan_;
  Values goal_ = optimum_;
};

// A model of a body, a normalised layer and a head, and what one device does with it.
struct StrategyFixture {
  StrategyFixture() {
    const auto add = [&](const char* name, uint64_t size) {
      task.table.tensors.push_back({name, {static_cast<int64_t>(size)}, task.table.parameter_count(), size});
    };
    add("body.weight", 3);
    add("bn.weight", 2);
    add("head.weight", 2);
    add("head.bias", 1);
    add("bn.running_mean", 2);
    task.id = TestTask("digits");
    task.latest = ModelVersion{1};
    task.plan.learning_rate = 0.25;
    task.plan.epochs = 3;
    base = {0, 0, 0, 1, 1, 0.5f, 0.25f, 0, 0.125f, 0};
    optimum = {1, -1, 0.3f, 2, 1, -0.7f, 0.9f, 1.5f, -1, 1};
  }

  Learned Learn(const PersonalModel* personal = nullptr) {
    auto learned = TryLearn(personal);
    TRIBUTARY_CHECK(learned.has_value()) << learned.error().ToString();
    return std::move(*learned);
  }
  Result<Learned> TryLearn(const PersonalModel* personal = nullptr) {
    ArithmeticTrainer trainer(task.table, base, optimum, task.plan);
    if (!goal.empty()) trainer.set_goal(goal);
    trainer.held_out = held_out;
    trainer.right = right;
    trainer.diverges = diverges;
    const Bytes module;
    auto learned = LearnBy(trainer, {task, device, module, base, personal});
    passes = trainer.passes;
    return learned;
  }
  Learned LearnWith(StrategyName name) {
    task.plan.strategy = name;
    return Learn();
  }
  // The device's own model, whole.
  Values Own(const PersonalModel& personal) {
    ArithmeticTrainer trainer(task.table, base, optimum, task.plan);
    return ValuesOf(trainer, personal);
  }
  // From `from` by the plain rule.
  Values Trained(Values from, TrainingPass pass = {}) {
    ArithmeticTrainer trainer(task.table, base, optimum, task.plan);
    TRIBUTARY_CHECK(trainer.Train(from, pass).has_value());
    return from;
  }
  std::vector<float> DeltaOf(const Values& trained) const {
    std::vector<float> delta(trained);
    for (size_t i = 0; i < delta.size(); ++i) delta[i] -= base[i];
    return delta;
  }

  PublishedTask task;
  DeviceId device = TestDevice("device-1");
  Values base, optimum, goal;
  bool held_out = true;
  uint64_t diverges = 99;
  std::vector<double> right;
  std::vector<TrainingPass> passes;
};

}  // namespace tributary

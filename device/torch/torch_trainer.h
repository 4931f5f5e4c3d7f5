#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "device/learn/learner.h"
#include "device/learn/strategies/trainer.h"
#include "device/torch/model.h"

namespace tributary {

// A model of LibTorch and a device's examples, for the strategies. Its tensors are those of the task's table, in that
// order, then the others that are trained or kept: personal and local ones. Borrows everything; the model holds the
// version's weights when it is given, and undefined ones from then on. One thread.
class TorchTrainer final : public Trainer {
 public:
  TorchTrainer(Model& model, const LearnOrder& order, const TaskExamples& examples, const LearnHooks& hooks);

  const TensorTable& tensors() const override { return table_; }
  std::vector<bool> trained() const override;
  const Values& base() const override { return base_; }
  Result<UpdateMeta> Train(Values& values, const TrainingPass& pass) override;
  Result<std::optional<EvaluationResult>> Measure(const Values& values) override;
  // Over the training examples, at most 256 of them.
  Result<double> Slope(const Values& values, const Values& direction) override;
  // The model has these values from now on.
  void Put(const Values& values);

 private:
  Status Take(Values& values) const;
  // Elements of `all`, by a vector that goes by the table.
  template <class T>
  std::vector<T> ByModule(const std::vector<T>& by_table, T otherwise) const;

  Model& model_;
  const LearnOrder& order_;
  const TaskExamples& examples_;
  const LearnHooks& hooks_;
  TensorTable table_;
  std::vector<size_t> places_;  // in Model::Module::all, of each tensor of the table
  Values base_;
  uint64_t steps_ = 0;
};

}  // namespace tributary

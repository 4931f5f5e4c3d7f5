#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/base/limits.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/tensor_table.h"
#include "protocol/payload/evaluation.h"

namespace tributary {

// A tensor that a device keeps. It never leaves the device.
struct PersonalTensor {
  std::string name;
  std::vector<int64_t> shape;
  bool in_model = false;  // stands in place of the version's tensor when the device predicts
  bool in_state = false;  // the strategy's: the next fit begins with it
  std::vector<float> values;
  bool operator==(const PersonalTensor&) const = default;
};

// Whether the first metrics are better than the second: a larger accuracy where both have one, else, and where these
// are equal, a smaller loss.
bool IsBetter(const TaskMetrics& first, const TaskMetrics& second);
// Whether they are better by more than chance. Of accuracies: by McNemar's test (1947; with Edwards' correction, one-sided, 5 %)
// on the numbers of wrong answers, as if no example were wrong for both, which errs towards no: 0 wrong answers are clearly
// better than 5, not than 4, and 2 than 9, not than 8. Of losses alone no chance is known: whether they are better.
bool IsClearlyBetter(const TaskMetrics& first, const TaskMetrics& second);
// The number of the two that people read: "accuracy 0.912", else "loss 0.31"; "not measured" without metrics.
std::string ScoreText(const TaskMetrics& metrics);

// The model that a device has learned for itself and keeps. It predicts with the version `base` with the tensors `in_model`
// in place of the version's. Without such tensors it is the version itself. Value type.
//
// The file is one line of JSON that ends with a newline, then the values of the tensors in its order, float32, little
// endian. For example, without values:
//   {"format":"tributary-personal-1","task":"fashion","base":3,"strategy":"fedavg","choice":"global","examples":0,
//    "global":{},"personal":{},"alpha":0.5,"generation":0,"lineage":[],"tensors":[]}
struct PersonalModel {
  // An earlier stage of it.
  struct Ancestor {
    ModelVersion base{};
    std::string choice;
    double global = 0, personal = 0;  // the metric that decided
    bool operator==(const Ancestor&) const = default;
  };
  static constexpr size_t kAncestors = 32;

  TaskId task;
  ModelVersion base{};
  std::string strategy;           // as in the plan
  std::string choice = "global";  // which of the models that the strategy offered is in use
  uint64_t examples = 0;          // held back, on which both were measured
  TaskMetrics global;             // of the version; empty: nothing was measured
  TaskMetrics personal;           // of the model in use
  double alpha = 0.5;             // APFL's share of the device's own model
  uint64_t generation = 0;        // of the examples that it was made from (ExampleSource)
  std::vector<Ancestor> lineage;  // the newest last, at most kAncestors
  std::vector<PersonalTensor> tensors;
  bool operator==(const PersonalModel&) const = default;

  const PersonalTensor* Find(std::string_view name) const;
  bool uses_global() const;
  // The number of bytes of the tensors' values.
  uint64_t value_bytes() const;
};

// The most bytes of a personal model's file.
inline constexpr uint64_t kPersonalModelBytes = limits::kBlobBytes;
Bytes EncodePersonalModel(const PersonalModel& model);
// kCorrupt: not of that form, values missing or left over, or not finite. kTooLarge: over limits::kTensors tensors, or
// more values than two models may have.
Result<PersonalModel> DecodePersonalModel(ByteView bytes);

// Whether its tensors are of the model: those that `table` names have its shapes. kWrongTensorCount.
Status CheckPersonalModel(const PersonalModel& model, const TensorTable& table);

}  // namespace tributary

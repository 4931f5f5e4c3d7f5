#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "device/learn/process_learner.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary {

// A task of three values, w0 w1 b, and examples of y = 2 x0 - x1 + 0.5.
struct LearnFixture {
  LearnFixture() {
    task.id = TestTask("line");
    task.latest = ModelVersion{7};
    task.table.tensors = {{"w", {2}, 0, 2}, {"b", {1}, 2, 1}};
    task.plan.learning_rate = 0.1;
    task.plan.epochs = 60;
    auto set = std::make_shared<ExampleSet>();
    set->count = 40;
    std::vector<float> x, y;
    for (size_t i = 0; i < set->count; ++i) {
      const float first = static_cast<float>(i % 7) / 7, second = static_cast<float>(i % 5) / 5;
      x.insert(x.end(), {first, second});
      y.push_back(2 * first - second + 0.5f);
    }
    set->columns.push_back({{"x", DType::kFp32, {2}}, ToBytes(AsBytes(std::span<const float>(x)))});
    set->columns.push_back({{"y", DType::kFp32, {}}, ToBytes(AsBytes(std::span<const float>(y)))});
    examples.training.set = examples.held_out.set = set;
    for (uint32_t i = 0; i < 40; ++i) (i % 4 == 3 ? examples.held_out : examples.training).indices.push_back(i);
  }
  LearnOrder Order() const { return {task, device, module, weights}; }

  PublishedTask task;
  DeviceId device = TestDevice("device-1");
  Bytes module = {1, 2, 3};
  std::vector<float> weights = {0, 0, 0};
  TaskExamples examples;
};

}  // namespace tributary

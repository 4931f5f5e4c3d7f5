#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "device/agent/model_in_use.h"

namespace tributary {

// The thread that owns a device's Predictions: a learner's process ends with the thread that started it, and threads of
// applications come and go. Callers wait; their requests are answered one after the other. It begins with the first
// request, and lets go of models that nobody asks. Thread safe, but for the destructor, which comes last.
class PredictionThread {
 public:
  // Makes the predictions when they are first needed, and after it failed; on the thread.
  using Make = std::function<Result<std::unique_ptr<Predictions>>()>;
  explicit PredictionThread(Make make) : make_(std::move(make)) {}
  ~PredictionThread();

  // kConflict: called on the thread itself, by a callback; those of Make and Predictions.
  Result<Prediction> Predict(const TaskId& task, ExampleSet inputs);

 private:
  struct Request {
    TaskId task;
    ExampleSet inputs;
    std::optional<Result<Prediction>> answer = {};
  };
  void Run();
  Result<Prediction> Answer(Request& request);

  const Make make_;
  std::unique_ptr<Predictions> predictions_;  // the thread's
  std::mutex mutex_;                          // for what follows
  std::condition_variable changed_;
  std::deque<Request*> waiting_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace tributary

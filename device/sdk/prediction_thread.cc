#include "device/sdk/prediction_thread.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace tributary {
namespace {

constexpr auto kLookForIdle = std::chrono::seconds(30);

}  // namespace

PredictionThread::~PredictionThread() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

Result<Prediction> PredictionThread::Predict(const TaskId& task, ExampleSet inputs) {
  Request request{task, std::move(inputs)};
  std::unique_lock lock(mutex_);
  if (thread_.get_id() == std::this_thread::get_id()) {
    return Fail(Code::kConflict,
                "a prediction is asked for while one is being made, by a callback that gives examples for it");
  }
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  waiting_.push_back(&request);
  changed_.notify_all();
  changed_.wait(lock, [&] { return request.answer.has_value(); });
  return std::move(*request.answer);
}

void PredictionThread::Run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (!changed_.wait_for(lock, kLookForIdle, [this] { return ending_ || !waiting_.empty(); })) {
      lock.unlock();
      if (predictions_) predictions_->LetGoWhenIdle();
      lock.lock();
      continue;
    }
    if (waiting_.empty()) continue;
    Request& request = *waiting_.front();
    waiting_.pop_front();
    lock.unlock();
    Result<Prediction> answer = Answer(request);
    lock.lock();
    request.answer = std::move(answer);
    changed_.notify_all();
  }
  predictions_.reset();
}

// What is thrown here would end the application.
Result<Prediction> PredictionThread::Answer(Request& request) {
  try {
    if (!predictions_) {
      ASSIGN_OR_RETURN(predictions_, make_());
    }
    return predictions_->Predict(request.task, std::move(request.inputs));
  } catch (const std::bad_alloc&) {
    return Fail(Code::kTooLarge, "this process has no memory for the prediction");
  } catch (const std::exception& thrown) {
    return Fail(Code::kIo, "{}", thrown.what());
  }
}

}  // namespace tributary

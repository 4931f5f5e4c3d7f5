#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace tributary {

// The calls of a device that have begun and not ended, so that its last call waits for them. Thread safe.
class CallsUnderWay {
 public:
  // False: the device is being closed, and this is not one of the callbacks that end meanwhile. Each true is followed by End.
  bool Begin(bool in_callback) {
    const std::lock_guard lock(mutex_);
    const bool may = !closing_ || in_callback;
    if (may) ++count_;
    return may;
  }
  void End() {
    const std::lock_guard lock(mutex_);
    --count_;
    changed_.notify_all();
  }
  // From now on none begins.
  void Refuse() {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  // Returns when those under way have ended.
  void Await() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return count_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t count_ = 0;
  bool closing_ = false;
};

}  // namespace tributary

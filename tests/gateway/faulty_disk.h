#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "tests/support/guarded_disk.h"

namespace tributary {

// The real disk, until a test says that it fails every write, or that writes hang. Thread safe.
class FaultyDisk final : public GuardedDisk {
 public:
  void FailWith(std::optional<Code> code) { code_ = code ? static_cast<int>(*code) : 0; }
  void Hang(bool hang) {
    const std::lock_guard lock(mutex_);
    hang_ = hang;
    changed_.notify_all();
  }
  // Returns when a write hangs.
  void AwaitHanging() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return hanging_; });
  }

 private:
  Status Change(const Path& path) override {
    {
      std::unique_lock lock(mutex_);
      hanging_ = hang_;
      changed_.notify_all();
      changed_.wait(lock, [this] { return !hang_; });
      hanging_ = false;
    }
    if (const int code = code_; code != 0) return Fail(static_cast<Code>(code), "no change of " + path.string());
    return {};
  }

  std::atomic<int> code_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool hang_ = false;
  bool hanging_ = false;
};

}  // namespace tributary

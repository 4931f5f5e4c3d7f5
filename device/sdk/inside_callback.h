#pragma once

namespace tributary {

// While alive: this thread runs a callback of an application for a device, or, with nullptr, one that is for all of them: the
// log's. Callbacks may call the library, which may call back in turn, so they nest; an object lives on its thread's stack.
class InsideCallback {
 public:
  explicit InsideCallback(const void* device) : device_(device), outer_(innermost) { innermost = this; }
  ~InsideCallback() { innermost = outer_; }
  InsideCallback(const InsideCallback&) = delete;
  InsideCallback& operator=(const InsideCallback&) = delete;

  // Whether this thread is in a callback for the device.
  static bool Of(const void* device) {
    for (const InsideCallback* one = innermost; one; one = one->outer_) {
      if (one->device_ == device || !one->device_) return true;
    }
    return false;
  }

 private:
  static inline thread_local const InsideCallback* innermost = nullptr;
  const void* device_;
  const InsideCallback* outer_;
};

}  // namespace tributary

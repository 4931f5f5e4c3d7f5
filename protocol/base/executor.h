#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tributary {

// Runs work later, in the order in which it was posted. How work crosses from one thread to another: state is owned by
// one executor's thread, and everybody else posts to it.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void Post(std::function<void()> work) = 0;
};

// `threads` workers that take posted work in order (with one worker: one after the other). The destructor finishes what
// was posted, refuses nothing, and joins; so whatever the work touches must outlive the pool. Thread safe.
class WorkerPool final : public Executor {
 public:
  // `name` is what the threads are called in a debugger, at most 15 characters.
  WorkerPool(const std::string& name, int threads);
  ~WorkerPool() override;
  void Post(std::function<void()> work) override;

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace tributary

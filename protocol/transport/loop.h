#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/executor.h"

namespace tributary {

class HostQuestions;

// The one loop thread of a process: owns all sockets and, with them, all protocol state. Everything that touches a
// socket or a session runs here, one after the other; other threads hand it work with Post. Legal call order: build,
// register sockets, Run (until Stop). The clock must outlive it; sockets must be destroyed before it. Post and Stop may
// be called from any thread, everything else from the loop's thread (or before Run). Does not promise that a timer is
// punctual: only that it never fires early and that those due fire in order.
class Loop final : public Executor {
 public:
  using TimerId = uint64_t;
  // Something that zmq_poll can wait for; the two sockets of this folder are the only ones.
  class Pollable {
   public:
    virtual ~Pollable() = default;
    virtual void* native_socket() = 0;
    virtual void OnReadable() = 0;
  };

  explicit Loop(const Clock& clock);
  ~Loop() override;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void Post(std::function<void()> work) override;
  TimerId After(Millis delay, std::function<void()> work);
  void Cancel(TimerId timer);
  void Run();
  void Stop();
  // Turns until `budget` is over, one at least, for whoever has no thread to spare. Answers in how long the next turn is due
  // at the latest: what the network brings waits for it. Stop ends it early.
  Millis RunFor(Millis budget);
  // One turn: posted work, due timers, readable sockets; waits at most `max_wait` when there is nothing. For tests.
  void RunOnce(Millis max_wait);

  void Add(Pollable& socket);
  void Remove(Pollable& socket);
  // The zmq::context_t, one per loop, for the sockets of this folder.
  void* native_context();
  // Of all who look for the addresses of hosts on this loop.
  HostQuestions& host_questions() { return *host_questions_; }
  const Clock& clock() const { return clock_; }

 private:
  struct Native;
  void RunPosted();
  void RunTimers();
  Millis UntilNextTurn(Millis at_most);

  const Clock& clock_;
  std::unique_ptr<Native> native_;
  std::mutex posted_mutex_;
  std::vector<std::function<void()>> posted_;
  std::atomic<bool> stopping_ = false;
  std::map<std::pair<Millis, TimerId>, std::function<void()>> timers_;
  std::map<TimerId, Millis> due_;
  TimerId last_timer_ = 0;
  std::vector<Pollable*> sockets_;
  std::unique_ptr<HostQuestions> host_questions_;
};

}  // namespace tributary

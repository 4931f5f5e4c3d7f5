#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "protocol/base/clock.h"
#include "protocol/base/executor.h"
#include "protocol/base/result.h"

namespace tributary {

// How an HTTP thread asks the core thread for something and waits for the answer, with a bound. Thread safe.
// A call that did not begin in time never runs: its answer is kBusy and nothing was changed. One that has begun is
// waited for once more; then its answer is kTimeout and it may still come to its end.
class CoreCall {
 public:
  CoreCall(Executor& core, Millis patience) : core_(core), patience_(patience) {}

  // `work` runs on the core thread and returns a Result<T> or a Status. What it captures by reference must outlive the
  // server's threads, not only this call, since a call may be left behind (kTimeout).
  template <class Work>
  auto Run(Work work) const -> decltype(work()) {
    using Answer = decltype(work());
    auto turn = std::make_shared<Turn<Answer>>();
    core_.Post([turn, work = std::move(work)]() mutable {
      if (!turn->Begin()) return;
      turn->End(work());
    });
    std::unique_lock lock(turn->mutex);
    turn->wake.wait_for(lock, patience_, [&] { return turn->answer.has_value(); });
    if (!turn->answer && !turn->begun) {
      turn->abandoned = true;
      return Fail(Code::kBusy, "the core had no turn for this within {} ms; nothing was changed", patience_.count());
    }
    turn->wake.wait_for(lock, patience_, [&] { return turn->answer.has_value(); });
    if (turn->answer) return std::move(*turn->answer);
    return Fail(Code::kTimeout,
                "the core is still at it after {} ms; it may yet succeed, so look at the state before asking again",
                2 * patience_.count());
  }

 private:
  template <class Answer>
  struct Turn {
    std::mutex mutex;
    std::condition_variable wake;
    bool begun = false;
    bool abandoned = false;
    std::optional<Answer> answer;

    bool Begin() {
      const std::lock_guard lock(mutex);
      begun = !abandoned;
      return begun;
    }
    void End(Answer given) {
      {
        const std::lock_guard lock(mutex);
        answer.emplace(std::move(given));
      }
      wake.notify_all();
    }
  };

  Executor& core_;
  Millis patience_;
};

}  // namespace tributary

#include "protocol/transport/loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include <zmq.hpp>

#include "protocol/base/result.h"
#include "protocol/transport/host_questions.h"

namespace tributary {
namespace {

constexpr Millis kLongestWait{1'000};

}  // namespace

struct Loop::Native {
  zmq::context_t context{1};
  int wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  ~Native() { close(wake); }
};

Loop::Loop(const Clock& clock)
    : clock_(clock), native_(std::make_unique<Native>()), host_questions_(std::make_unique<HostQuestions>(*this)) {
  TRIBUTARY_CHECK(native_->wake >= 0) << "eventfd";
  // The default of 1023 would stop a fleet process at a third of that many virtual devices; this is libzmq's most.
  native_->context.set(zmq::ctxopt::max_sockets, 65535);
}

Loop::~Loop() { TRIBUTARY_CHECK(sockets_.empty()) << "sockets outlive their loop"; }

void Loop::Post(std::function<void()> work) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(work));
  }
  const uint64_t one = 1;
  // A full eventfd counter (EAGAIN) is as awake as can be.
  [[maybe_unused]] const auto wrote = write(native_->wake, &one, sizeof(one));
}

Loop::TimerId Loop::After(Millis delay, std::function<void()> work) {
  const Millis due = clock_.Monotonic() + delay;
  const TimerId id = ++last_timer_;
  timers_.emplace(std::pair(due, id), std::move(work));
  due_.emplace(id, due);
  return id;
}

void Loop::Cancel(TimerId timer) {
  if (const auto due = due_.extract(timer)) timers_.erase({due.mapped(), timer});
}

void Loop::Run() {
  while (!stopping_) RunOnce(kLongestWait);
  // Work that was posted before Stop still runs, so that nobody waits for ever on an answer.
  RunPosted();
}

Millis Loop::RunFor(Millis budget) {
  const Millis end = clock_.Monotonic() + budget;
  Millis left = budget;
  do {
    RunOnce(left);
    left = end - clock_.Monotonic();
  } while (left > Millis(0) && !stopping_);
  return UntilNextTurn(kLongestWait);
}

void Loop::Stop() {
  stopping_ = true;
  Post([] {});
}

void Loop::RunOnce(Millis max_wait) {
  RunPosted();
  RunTimers();
  const Millis wait = UntilNextTurn(max_wait);

  std::vector<zmq::pollitem_t> items;
  items.reserve(sockets_.size() + 1);
  items.push_back({nullptr, native_->wake, ZMQ_POLLIN, 0});
  for (Pollable* socket : sockets_) items.push_back({socket->native_socket(), 0, ZMQ_POLLIN, 0});
  try {
    zmq::poll(items, wait);
  } catch (const zmq::error_t& failure) {
    // A signal interrupts the wait; anything else would be a socket used after its end.
    TRIBUTARY_CHECK(failure.num() == EINTR) << failure.what();
    return;
  }
  if (items[0].revents & ZMQ_POLLIN) {
    uint64_t count = 0;
    [[maybe_unused]] const auto got = read(native_->wake, &count, sizeof(count));
  }
  // A handler may add or remove sockets: only those that were polled and are still there are served.
  const std::vector<Pollable*> polled = sockets_;
  for (size_t i = 0; i < polled.size(); ++i) {
    if (!(items[i + 1].revents & ZMQ_POLLIN)) continue;
    if (std::ranges::find(sockets_, polled[i]) != sockets_.end()) polled[i]->OnReadable();
  }
}

void Loop::Add(Pollable& socket) { sockets_.push_back(&socket); }
void Loop::Remove(Pollable& socket) { std::erase(sockets_, &socket); }
void* Loop::native_context() { return &native_->context; }

void Loop::RunPosted() {
  std::vector<std::function<void()>> work;
  {
    const std::lock_guard lock(posted_mutex_);
    work.swap(posted_);
  }
  for (auto& one : work) one();
}

void Loop::RunTimers() {
  const Millis now = clock_.Monotonic();
  // One that is set here waits for the next turn, even when it is due: the sockets have theirs first.
  const TimerId last = last_timer_;
  while (!timers_.empty() && timers_.begin()->first.first <= now && timers_.begin()->first.second <= last) {
    auto node = timers_.extract(timers_.begin());
    due_.erase(node.key().second);
    node.mapped()();
  }
}

Millis Loop::UntilNextTurn(Millis at_most) {
  {
    const std::lock_guard lock(posted_mutex_);
    if (!posted_.empty() || stopping_) return Millis(0);
  }
  if (timers_.empty()) return at_most;
  return std::clamp(timers_.begin()->first.first - clock_.Monotonic(), Millis(0), at_most);
}

}  // namespace tributary

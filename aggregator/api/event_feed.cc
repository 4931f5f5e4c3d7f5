#include "aggregator/api/event_feed.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace tributary {

void EventFeed::Publish(WatchedEvent event) {
  {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    ++newest_;
    if (events_.size() > memory_) events_.pop_front();
  }
  wake_.notify_all();
}

EventFeed::Position EventFeed::After(const std::optional<std::string>& last_event_id) const {
  const std::lock_guard lock(mutex_);
  if (!last_event_id || last_event_id->empty()) return {newest_ + 1, false};
  if (last_event_id->starts_with(life_ + "-")) {
    const std::string_view text = std::string_view(*last_event_id).substr(life_.size() + 1);
    uint64_t seen = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seen);
    const bool whole = error == std::errc() && end == text.data() + text.size();
    if (whole && seen <= newest_ && seen + 1 >= oldest()) return {seen + 1, false};
  }
  return {oldest(), true};
}

std::vector<EventFeed::Numbered> EventFeed::Take(Position& position, Millis wait, size_t most) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, wait, [&] { return closed_ || newest_ >= position.next; });
  if (position.next < oldest()) position = {oldest(), true};
  std::vector<Numbered> taken;
  while (position.next <= newest_ && taken.size() < most) {
    taken.push_back({position.next, events_[position.next - oldest()]});
    ++position.next;
  }
  return taken;
}

void EventFeed::Close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  wake_.notify_all();
}

bool EventFeed::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

}  // namespace tributary

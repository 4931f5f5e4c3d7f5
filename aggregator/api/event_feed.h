#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "aggregator/api/route.h"
#include "aggregator/enrol/enrolment.h"
#include "aggregator/watch/watch.h"

namespace tributary {

// People may watch rounds and members.
using WatchedEvent = std::variant<CoreEvent, EnrolmentEvent>;

// The recent events of this process, for those who watch: bounded memory, and a reader that falls behind is told so
// instead of holding anything up. An event's id is "<life>-<number>", where `life` differs in every run of the process.
// Thread safe.
class EventFeed {
 public:
  // `life`: a short random name. `memory`: events kept, enough that a broken connection of a minute is made good.
  explicit EventFeed(std::string life, size_t memory = 4096) : life_(std::move(life)), memory_(memory) {}

  void Publish(WatchedEvent event);

  // Where a reader goes on.
  struct Position {
    uint64_t next = 0;  // number of the next event to read
    bool lost = false;  // events between the last one seen and `next` are not remembered
  };
  // Behind the event of that id; without an id, behind the newest. An id of another life or not remembered any more:
  // from the oldest that is, and `lost`.
  Position After(const std::optional<std::string>& last_event_id) const;

  struct Numbered {
    uint64_t number = 0;
    WatchedEvent event;
  };
  // Waits up to `wait` for events from `position.next` on, takes at most `most`, and moves the position behind them.
  // Sets position.lost when the memory was overrun meanwhile.
  std::vector<Numbered> Take(Position& position, Millis wait, size_t most = 256);
  std::string IdOf(uint64_t number) const { return life_ + "-" + std::to_string(number); }

  // Wakes every reader for good: readers end. For shutdown, before the server's Stop.
  void Close();
  bool closed() const;

 private:
  uint64_t oldest() const { return newest_ + 1 - events_.size(); }

  const std::string life_;
  const size_t memory_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<WatchedEvent> events_;
  uint64_t newest_ = 0;  // number of the last event; 0: none yet
  bool closed_ = false;
};

// Events as openapi.yaml describes them. Every event has the same fields; those that say nothing of it are null.
std::string ToJson(const CoreEvent& event);
std::string ToJson(const EnrolmentEvent& event);

// Adds /events, the feed as server-sent events.
void AddEventRoutes(HttpServer& server, const ApiParts& parts);

}  // namespace tributary

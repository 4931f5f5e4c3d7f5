#include "aggregator/api/event_feed.h"

#include <utility>

#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "aggregator/api/server_sent_event.h"

namespace tributary {
namespace {

constexpr Millis kTurn{1'000};       // HttpStream: a second at most
constexpr int kHeartbeatTurns = 10;  // without an event

bool IsOfTask(const WatchedEvent& event, const std::string& task) {
  const auto* const round = std::get_if<CoreEvent>(&event);
  return round != nullptr && round->task.text() == task;
}

ServerSentEvent Shown(std::string id, const WatchedEvent& event) {
  return std::visit(
      [&](const auto& happened) {
        return ServerSentEvent{std::move(id), happened.name, ToJson(happened)};
      },
      event);
}

// One watcher's way through the feed.
class EventWatch {
 public:
  EventWatch(EventFeed& feed, const HttpRequest& request)
      : feed_(feed), task_(request.query_value("task")), position_(feed.After(request.header("last-event-id"))) {}

  bool Turn(const HttpWrite& write) {
    if (!greeted_) {
      greeted_ = true;
      // Says where the stream begins, so that a watcher that looks at the state now misses nothing.
      if (!write(EncodeServerSentEvent({feed_.IdOf(position_.next - 1), "hello", "{}"}))) return false;
    }
    const bool was_lost = position_.lost;
    const auto events = feed_.Take(position_, was_lost ? Millis(0) : kTurn);
    if (feed_.closed()) return false;
    if (position_.lost && !write(EncodeServerSentEvent({"", "events.lost", "{}"}))) return false;
    position_.lost = false;
    for (const auto& [number, event] : events) {
      if (task_ && !IsOfTask(event, *task_)) continue;
      if (!write(EncodeServerSentEvent(Shown(feed_.IdOf(number), event)))) return false;
    }
    quiet_turns_ = events.empty() ? quiet_turns_ + 1 : 0;
    if (quiet_turns_ % kHeartbeatTurns != kHeartbeatTurns - 1) return true;
    return write(kEventStreamHeartbeat);
  }

 private:
  EventFeed& feed_;
  const std::optional<std::string> task_;
  EventFeed::Position position_;
  bool greeted_ = false;
  int quiet_turns_ = 0;
};

}  // namespace

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
    const auto seen = ToNumber(std::string_view(*last_event_id).substr(life_.size() + 1));
    if (seen && *seen <= newest_ && *seen + 1 >= oldest()) return {*seen + 1, false};
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

std::string ToJson(const CoreEvent& event) {
  return Dump({{"name", event.name},
               {"at", Rfc3339(event.at)},
               {"task", event.task.empty() ? Json() : Json(event.task.text())},
               {"round", event.round == 0 ? Json() : Json(event.round)},
               {"contributions", event.contributions},
               {"version", VersionOrNull(event.version)},
               {"metrics", event.metrics ? MetricsToJson(*event.metrics) : Json()},
               {"detail", TextOrNull(event.detail)},
               {"member", nullptr}});
}

std::string ToJson(const EnrolmentEvent& event) {
  return Dump(
      {{"name", event.name},
       {"at", Rfc3339(event.at)},
       {"task", nullptr},
       {"round", nullptr},
       {"contributions", 0},
       {"version", nullptr},
       {"metrics", nullptr},
       {"detail", nullptr},
       {"member", {{"id", event.id.text()}, {"role", RoleName(event.role)}, {"device_class", event.device_class}}}});
}

void AddEventRoutes(HttpServer& server, const ApiParts& parts) {
  server.Add("GET", "/api/v1/events", HttpAccess::kViewer,
             [&events = parts.events](const HttpRequest& request) -> Result<HttpResponse> {
               if (const auto task = request.query_value("task")) {
                 if (!TaskId::Parse(*task))
                   return Fail(Code::kInvalidArgument, "task: '{}' is not a task's name", *task);
               }
               auto watch = std::make_shared<EventWatch>(events, request);
               return HttpResponse::EventStream([watch](const HttpWrite& write) { return watch->Turn(write); });
             });
}

}  // namespace tributary

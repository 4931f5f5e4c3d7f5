#include "aggregator/api/api_routes.h"
#include "aggregator/api/json_events.h"
#include "aggregator/api/server_sent_event.h"

namespace tributary {
namespace {

constexpr Millis kTurn{1'000};       // HttpStream: a second at most
constexpr int kHeartbeatTurns = 10;  // without an event

bool IsOfTask(const WatchedEvent& event, const std::string& task) {
  const auto* const round = std::get_if<CoordinatorEvent>(&event);
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

void AddEventRoutes(HttpServer& server, const ApiParts& parts) {
  server.Add("GET", "/api/v1/events", HttpAccess::kViewer,
             [&events = parts.events](const HttpRequest& request) -> Result<HttpResponse> {
               if (const auto task = request.query_value("task")) {
                 if (!TaskId::Parse(*task))
                   return Fail(Code::kInvalidArgument, "task: '" + *task + "' is not a task's name");
               }
               auto watch = std::make_shared<EventWatch>(events, request);
               return HttpResponse::EventStream([watch](const HttpWrite& write) { return watch->Turn(write); });
             });
}

}  // namespace tributary

#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "protocol/base/result.h"

namespace tributary {

// One event of a text/event-stream (WHATWG HTML, "server-sent events"). As bytes:
//   id: 5f3a-17\nevent: round.contribution\ndata: {"task":"digits"}\n\n
struct ServerSentEvent {
  std::string id;
  std::string name = "message";
  std::string data;
  bool operator==(const ServerSentEvent&) const = default;
};

std::string EncodeServerSentEvent(const ServerSentEvent& event);
// Keeps the connection known to be alive; clients ignore it.
inline constexpr std::string_view kEventStreamHeartbeat = ": alive\n\n";

// Turns the bytes of a stream, however they are cut, into events: Take any number of times. Not thread safe.
class EventStreamParser {
 public:
  // Returns false to end the stream.
  using Handler = std::function<bool(const ServerSentEvent&)>;
  explicit EventStreamParser(Handler handler) : handler_(std::move(handler)) {}
  // False once the handler wants no more. kTooLarge: an event over limits::kHttpBodyBytes.
  Result<bool> Take(std::string_view bytes);

 private:
  bool TakeLine(std::string_view line);

  Handler handler_;
  std::string line_;
  bool skip_line_feed_ = false;  // the last byte was a carriage return, which ends a line by itself
  ServerSentEvent event_;
  bool has_data_ = false;
  std::string last_id_;
};

}  // namespace tributary

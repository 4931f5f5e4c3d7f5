#include "aggregator/api/server_sent_event.h"

#include "protocol/base/limits.h"

namespace tributary {

std::string EncodeServerSentEvent(const ServerSentEvent& event) {
  std::string text;
  if (!event.id.empty()) text += "id: " + event.id + "\n";
  text += "event: " + event.name + "\n";
  std::string_view data = event.data;
  for (;;) {
    const size_t end = data.find('\n');
    text += "data: " + std::string(data.substr(0, end)) + "\n";
    if (end == std::string_view::npos) break;
    data.remove_prefix(end + 1);
  }
  return text + "\n";
}

Result<bool> EventStreamParser::Take(std::string_view bytes) {
  for (const char c : bytes) {
    if (c == '\n' && skip_line_feed_) {
      skip_line_feed_ = false;
      continue;
    }
    skip_line_feed_ = c == '\r';
    if (c == '\n' || c == '\r') {
      const std::string line = std::exchange(line_, {});
      if (!TakeLine(line)) return false;
      continue;
    }
    line_ += c;
    if (line_.size() + event_.data.size() > limits::kHttpBodyBytes) {
      return Fail(Code::kTooLarge, "an event of the stream has over {} bytes", limits::kHttpBodyBytes);
    }
  }
  return true;
}

bool EventStreamParser::TakeLine(std::string_view line) {
  if (line.empty()) {
    ServerSentEvent event = std::exchange(event_, {});
    event.id = last_id_;
    return !std::exchange(has_data_, false) || handler_(event);
  }
  const size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "id") {
    last_id_ = value;
  } else if (field == "event") {
    event_.name = value;
  } else if (field == "data") {
    if (has_data_) event_.data += '\n';
    event_.data += value;
    has_data_ = true;
  }
  return true;  // comments and unknown fields are ignored
}

}  // namespace tributary

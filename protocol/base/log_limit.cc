#include "protocol/base/log_limit.h"

namespace tributary {
namespace {

// A line has about 300 bytes: at most 5 MB a day of one event and peer, 52 MB of one event.
constexpr Rate kOfPeer{0.2, 60};
constexpr Rate kOfEvent{2, 300};
constexpr Millis kMinute{60'000};
constexpr size_t kWho = 128;  // bytes of a peer's name that tell it from others

}  // namespace

bool LogLimit::Allow(std::string_view event, std::string_view who, Millis now) {
  std::string name(event);
  auto& of_event = events_.FindOrMake(name, TokenBucket(kOfEvent, now));
  bool allowed = true;
  if (!who.empty()) {
    const std::string peer = name + '\n' + std::string(who.substr(0, kWho));
    allowed = peers_.FindOrMake(peer, TokenBucket(kOfPeer, now)).Take(kOfPeer, now);
  }
  if (allowed && of_event.Take(kOfEvent, now)) return true;
  if (held_back_.empty()) first_ = now;
  ++held_back_[std::move(name)];
  return false;
}

std::vector<LogLimit::HeldBack> LogLimit::Due(Millis now) {
  if (held_back_.empty() || now - first_ < kMinute) return {};
  std::vector<HeldBack> due;
  for (const auto& [event, lines] : held_back_) due.push_back({event, lines});
  held_back_.clear();
  return due;
}

}  // namespace tributary

#include "gateway/forward/uplink.h"

#include <algorithm>

namespace tributary {
namespace {

// Urgent kinds come before most others in the spool's order, so looking at this many finds one.
constexpr size_t kLookedAt = 64;

}  // namespace

Uplink::Uplink(const Parts& parts, const LinkPolicy& policy)
    : parts_(parts),
      policy_(policy),
      up_budget_(parts.clock, policy.up_bytes_per_second),
      courier_(
          parts.client, parts.loop, parts.clock, parts.random, parts.spool,
          {.wait_before = [this](const SpooledUpload& upload) { return WaitBefore(upload); }, .budget = &up_budget_},
          [](const UploadId&, const Error*) {}) {}

Uplink::~Uplink() { parts_.loop.Cancel(schedule_timer_); }

void Uplink::Start() {
  started_ = true;
  FollowSchedule();
}

void Uplink::Stop() {
  started_ = false;
  parts_.loop.Cancel(schedule_timer_);
  parts_.client.Stop();
}

void Uplink::Nudge() {
  courier_.Nudge();
  // What is new may be urgent.
  if (started_ && !policy_.keep_session_when_closed) FollowSchedule();
}

Millis Uplink::WaitBefore(const SpooledUpload& upload) const {
  const WallTime now = parts_.clock.Now();
  return policy_.MaySend(upload.kind, now) ? Millis(0) : UploadSchedule::UntilNextMinute(now);
}

void Uplink::FollowSchedule() {
  const bool wanted = policy_.keep_session_when_closed || IsOpen() || UrgentWaits() || courier_.in_flight() > 0;
  if (wanted) {
    parts_.client.Start();
  } else {
    parts_.client.Stop();
  }
  if (policy_.keep_session_when_closed) return;
  parts_.loop.Cancel(schedule_timer_);
  schedule_timer_ =
      parts_.loop.After(UploadSchedule::UntilNextMinute(parts_.clock.Now()), [this] { FollowSchedule(); });
}

bool Uplink::UrgentWaits() const {
  if (policy_.urgent_kinds.empty()) return false;
  const auto pending = parts_.spool.Pending(kLookedAt);
  return pending && std::ranges::any_of(*pending, [this](const SpooledUpload& upload) {
           return policy_.urgent_kinds.contains(upload.kind);
         });
}

}  // namespace tributary

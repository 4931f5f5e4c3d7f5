#include "aggregator/watch/settled_clock.h"

#include <algorithm>
#include <vector>

#include "protocol/base/limits.h"

namespace tributary {
namespace {

constexpr Millis kHeardLately = std::chrono::hours(1);
// Enough for a majority of a large fleet's gateways; the oldest gives way.
constexpr size_t kMostMembers = 4'096;

Millis Between(WallTime from, WallTime to) { return Millis(to.unix_millis - from.unix_millis); }

bool Near(WallTime a, WallTime b, Millis within) { return std::chrono::abs(Between(a, b)) <= within; }

std::string AheadText(Millis ahead) {
  const int64_t seconds = std::abs(ahead.count()) / 1000;
  return fmt::format("{} h {} min {}", seconds / 3600, seconds / 60 % 60, ahead < Millis(0) ? "behind" : "ahead of");
}

}  // namespace

SettledClock::SettledClock(const Clock& clock) : clock_(clock), wall_(clock.Now()), at_(clock.Monotonic()) {}

std::optional<Millis> SettledClock::Members() const {
  const Millis now = clock_.Monotonic();
  std::vector<Millis> lately;
  for (const auto& [member, heard] : heard_) {
    if (now - heard.at <= kHeardLately) lately.push_back(heard.ahead);
  }
  if (lately.size() < kFewestMembers) return std::nullopt;
  const auto middle = lately.begin() + static_cast<ptrdiff_t>(lately.size() / 2);
  std::ranges::nth_element(lately, middle);
  const size_t agree = static_cast<size_t>(
      std::ranges::count_if(lately, [&](Millis ahead) { return std::chrono::abs(ahead - *middle) <= kJump; }));
  if (agree < kFewestMembers || agree * 2 <= lately.size()) return std::nullopt;
  return *middle;
}

WallTime SettledClock::Settle() const {
  const Millis now = clock_.Monotonic();
  const WallTime system = clock_.Now();
  const WallTime expected = wall_ + (now - at_);
  bool believed = Near(system, expected, kJump);
  if (!believed) {
    const auto members = Members();
    believed = members && Near(system, WallTime{members->count()} + now, kJump);
  }
  if (!believed) return expected;
  wall_ = system;
  at_ = now;
  return system;
}

WallTime SettledClock::Now() const {
  const std::lock_guard lock(mutex_);
  return Settle();
}

void SettledClock::Hear(const DeviceId& member, WallTime time) {
  const std::lock_guard lock(mutex_);
  if (time.unix_millis <= 0 || time > Settle() + Millis(limits::kFarFutureMillis)) {
    heard_.erase(member);
    return;
  }
  const Millis now = clock_.Monotonic();
  heard_[member] = {now, Between(WallTime{now.count()}, time)};
  if (heard_.size() > kMostMembers) {
    heard_.erase(std::ranges::min_element(heard_, {}, [](const auto& entry) { return entry.second.at; }));
  }
}

bool SettledClock::MembersDisagree(WallTime now, const std::optional<Millis>& members) const {
  const bool away = members && !Near(now, WallTime{members->count()} + clock_.Monotonic(), kAway);
  if (members && !away) overruled_ = false;
  return away && !overruled_;
}

Status SettledClock::MaySign() const {
  const std::lock_guard lock(mutex_);
  const WallTime now = Settle();
  if (const WallTime system = clock_.Now(); !Near(system, now, kJump)) {
    return Fail(Code::kClockJumped, "the system's clock is {} the time that has passed since it was last right",
                AheadText(Between(now, system)));
  }
  const auto members = Members();
  if (!MembersDisagree(now, members)) return {};
  return Fail(Code::kClockJumped, "the clock is {} that of the members, which agree with one another",
              AheadText(Between(WallTime{members->count()} + clock_.Monotonic(), now)));
}

SettledClock::Standing SettledClock::Look() const {
  const bool settled = MaySign().has_value();
  const std::lock_guard lock(mutex_);
  Standing standing{Settle(), clock_.Now(), std::nullopt, settled};
  if (const auto members = Members()) standing.members = WallTime{members->count()} + clock_.Monotonic();
  return standing;
}

void SettledClock::Accept() {
  const std::lock_guard lock(mutex_);
  wall_ = clock_.Now();
  at_ = clock_.Monotonic();
  overruled_ = true;
}

}  // namespace tributary

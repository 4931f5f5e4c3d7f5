#pragma once

#include <map>
#include <mutex>
#include <optional>

#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"

namespace tributary {

// The aggregator's clock. Its wall time goes on with the monotonic clock: when the system's wall clock jumps, this one
// does not, so deadlines stay right, and nothing is dated by a time that somebody set by mistake. It follows small
// corrections at once, and a jump when a person accepts it or when the members' clocks say the same.
//
// The members connected to this aggregator say with each check-in what time it is for them. When more than half of those
// that were heard in the last hour, and at least three, agree with one another and not with this clock, it is this clock
// that is wrong: that shows a clock that was wrong from the start.
//
// While a jump or a disagreement stands nothing may be signed for members (MaySign), because they take the date of a
// publication for proof that this time has come. Thread safe. The clock below must outlive it.
class SettledClock final : public Clock {
 public:
  // More than this between two looks is a jump; so much may members differ from one another and from this clock.
  static constexpr Millis kJump = std::chrono::minutes(5);
  static constexpr Millis kAway = std::chrono::hours(1);
  static constexpr size_t kFewestMembers = 3;

  struct Standing {
    WallTime believed, system;
    std::optional<WallTime> members;  // what they say, where enough of them agree
    bool settled = true;              // false: nothing is signed
  };

  explicit SettledClock(const Clock& clock);

  WallTime Now() const override;
  Millis Monotonic() const override { return clock_.Monotonic(); }

  // Takes the time that a member has now; its clock may say anything. {0}: it does not know.
  void Hear(const DeviceId& member, WallTime time);
  // kClockJumped says by how much, and away from whom.
  Status MaySign() const;
  Standing Look() const;
  // The system's clock is right: it is believed from now on, whatever members say until they agree with it again.
  void Accept();

 private:
  struct Heard {
    Millis at{0};     // monotonic
    Millis ahead{0};  // of this clock's count: its time less the monotonic one
  };
  // The time that is believed. Takes up small corrections, and a jump that members confirm.
  WallTime Settle() const;
  // The middle of what members say, as time less the monotonic clock.
  std::optional<Millis> Members() const;
  bool MembersDisagree(WallTime now, const std::optional<Millis>& members) const;

  const Clock& clock_;
  mutable std::mutex mutex_;
  mutable WallTime wall_;  // believed at the monotonic time at_
  mutable Millis at_;
  mutable bool overruled_ = false;  // a person has accepted this time against the members
  std::map<DeviceId, Heard> heard_;
};

}  // namespace tributary

#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"

namespace tributary {

// A clock for members whose own may say anything, for instance 1970 after each power cut: it says the time of the clock
// below it, but never less than the latest date that was proven to have passed. That floor is in a file, so it holds
// over restarts. Only verified facts may raise it (the date at which a publication was signed), never the clock below:
// one that once ran years ahead would make every certificate look expired for good.
//
// Who signs may err too, for instance by 40 days for 15 seconds. So a fact that is ahead of the clock below raises the
// floor by plausible steps only: to at most a day more than what has passed since the last sure time. Sure is the first
// fact, one that the clock below confirms, and one that came an hour or more after another and is as much later.
//
// Thread safe. The clock and the file system must outlive it. Does not promise the right time, only that what has ended
// by the floor stays ended. The file is text: "tributary-time-floor 1\n", Unix milliseconds, "\n".
class TimeFloor final : public Clock {
 public:
  // An absent file is no floor. kCorrupt: not of that form; the errors of the file system.
  static Result<std::unique_ptr<TimeFloor>> Open(const Clock& clock, FileSystem& files, Path file);

  WallTime Now() const override;
  Millis Monotonic() const override { return clock_.Monotonic(); }
  WallTime floor() const;
  // The time of the clock below; {0}: it is behind what was proven, so it is known to be wrong.
  WallTime Own() const;
  // `fact`: a date that has passed, proven. Durable on return, and in force even when it could not be made durable.
  // Nothing happens when the floor is there already.
  Status Raise(WallTime fact);

 private:
  TimeFloor(const Clock& clock, FileSystem& files, Path file) : clock_(clock), files_(files), file_(std::move(file)) {}

  const Clock& clock_;
  FileSystem& files_;
  Path file_;
  struct Moment {
    WallTime wall;
    Millis monotonic{0};
    WallTime At(Millis now) const { return wall + (now - monotonic); }
  };
  WallTime Plausible(WallTime fact);

  mutable std::mutex mutex_;
  std::optional<Moment> sure_;   // a time that was right
  std::optional<Moment> heard_;  // a fact that was not plausible, when it came
  WallTime floor_;
  bool kept_ = true;  // the file has it
};

// The floor's file in a data folder.
inline constexpr const char* kTimeFloorFile = "time-floor";

// `forget-time`: removes the floor of a member that is stopped, and answers what to tell its operator. For a floor that
// came to be wrong. kLocked: the member runs. kNotFound: there is no floor.
Result<std::string> ForgetTime(FileSystem& files, const Path& data_dir);

}  // namespace tributary

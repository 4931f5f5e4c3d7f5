#pragma once

#include <memory>
#include <mutex>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"

namespace tributary {

// A clock for members whose own may say anything, for instance 1970 after each power cut: it says the time of the clock
// below it, but never less than the latest date that was proven to have passed. That floor is in a file, so it holds
// over restarts. Only verified facts may raise it (the date at which a publication was signed), never the clock below:
// one that once ran years ahead would make every certificate look expired for good.
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
  // `fact`: a date that has passed, proven. Durable on return, and in force even when it could not be made durable.
  // Nothing happens when the floor is there already.
  Status Raise(WallTime fact);

 private:
  TimeFloor(const Clock& clock, FileSystem& files, Path file) : clock_(clock), files_(files), file_(std::move(file)) {}

  const Clock& clock_;
  FileSystem& files_;
  Path file_;
  mutable std::mutex mutex_;
  WallTime floor_;
  bool kept_ = true;  // the file has it
};

}  // namespace tributary

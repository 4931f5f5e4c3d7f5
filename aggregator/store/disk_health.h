#pragma once

#include <optional>
#include <string_view>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/result.h"

namespace tributary {

// Whether the disk took the last write. While it does not, nothing new is taken in, the failed write is tried again
// once a second, and the process says why. The first time that all of it succeeds ends the trouble. Value type; one
// thread.
class DiskHealth {
 public:
  explicit DiskHealth(const Clock& clock) : clock_(clock) {}

  // `event` names what could not be written, for the log.
  void Failed(std::string_view event, const Error& error);
  void Recovered();

  bool in_trouble() const { return trouble_.has_value(); }
  // A pause is over, or there was no failure.
  bool MayTry() const { return clock_.Monotonic() >= retry_at_; }
  // Ok, or why the disk does not work, with a passing code: a sender that is refused with it comes again.
  Status status() const;

 private:
  const Clock& clock_;
  std::optional<Error> trouble_;
  Millis retry_at_{0};  // monotonic
};

// Checks that `bytes` more fit into `folder` and leave the database room to work: a large file that cannot be completed
// is better not begun. kDiskFull, with the bytes needed and free. A file system that does not tell is trusted.
Status CheckRoom(FileSystem& files, const Path& folder, uint64_t bytes, std::string_view what);

}  // namespace tributary

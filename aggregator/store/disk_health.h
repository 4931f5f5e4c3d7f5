#pragma once

#include <optional>
#include <string_view>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/result.h"

namespace tributary {

// Whether the disk took the last thing that had to be written. While it does not, nothing new is taken in, what failed
// is tried again once a second, and the process says why; the first time that all of it succeeds ends the trouble.
// Value type; one thread.
class DiskHealth {
 public:
  explicit DiskHealth(const Clock& clock) : clock_(clock) {}

  // `event` names what could not be written, for the log.
  void Failed(std::string_view event, const Error& error);
  void Recovered();

  bool in_trouble() const { return trouble_.has_value(); }
  // A pause is over, or there was no failure.
  bool MayTry() const { return clock_.Monotonic() >= retry_at_; }
  // Empty: it works. Else why it does not, with a code that passes: whoever is refused with it comes again.
  Status status() const;

 private:
  const Clock& clock_;
  std::optional<Error> trouble_;
  Millis retry_at_{0};  // monotonic
};

// That `bytes` more fit into `folder` and leave the database room to breathe; a large file that cannot be completed is
// better not begun. kDiskFull, with what is needed and what is there. A file system that does not tell is trusted.
Status CheckRoom(FileSystem& files, const Path& folder, uint64_t bytes, std::string_view what);

}  // namespace tributary

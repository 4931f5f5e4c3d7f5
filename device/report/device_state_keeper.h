#pragma once

#include <optional>

#include "protocol/base/file.h"
#include "protocol/payload/device_state.h"

namespace tributary {

// Numbers what a device says of itself, so that the numbers never go back. Each state is in a file, with its sequence,
// before anybody else has it. What earlier processes of this device had said is added to what this process counts. A
// kill may forget what was counted since the last state, never what was said.
//
// The file is the last state that was made (envelope.capnp, DeviceState). When it is absent or damaged the numbers begin
// anew, and the aggregator will say so: a device whose numbers go back deserves a look.
//
// Value type, not thread safe. The file system must outlive it.
class DeviceStateKeeper {
 public:
  static DeviceStateKeeper Load(FileSystem& files, Path file);

  // The last one that was made, by this process or an earlier one; sequence 0: none.
  const DeviceState& last() const { return last_; }
  // Whether `now` is worth sending: it is the first of this process, something changed, or the last one is a day old.
  // Never two within a minute; when a task's failure came, went or became another, never two within ten seconds, since an
  // operator may wait for it; when only counts of rejections or failures grew, never two within an hour. `monotonic`: of
  // a clock.
  bool IsDue(const DeviceState& now, Millis monotonic) const;
  // `now` counts since this process's start; its sequence and boots are filled in. Durable on return. Errors: the file
  // system's; then its numbers were not used.
  Result<DeviceState> Make(DeviceState now, Millis monotonic);
  // The last one could not be sent: the next one is due as if none had been made, a minute from now.
  void SayAgain() { said_ = false; }

 private:
  DeviceStateKeeper(FileSystem& files, Path file) : files_(&files), file_(std::move(file)) {}
  void AddEarlier(DeviceState& state) const;

  FileSystem* files_;
  Path file_;
  DeviceState earlier_;  // the last state before this process's start
  DeviceState last_;
  std::optional<Millis> made_;
  bool said_ = false;
};

}  // namespace tributary

#pragma once

#include <optional>

#include "protocol/base/file.h"
#include "protocol/envelope/device_report.h"

namespace tributary {

// Makes a device's reports of itself, whose numbers never go back: each is in a file, with its sequence, before anybody
// else has it, and what earlier processes of this device had reported is added to what this one counts. A kill may
// forget what was counted since the last report, never what was reported.
//
// The file is the last report that was made (envelope.capnp, DeviceReport). When it is absent or damaged the numbers
// begin anew, and the aggregator will say so: a device whose reports go back deserves a look.
//
// Value type, not thread safe. The file system must outlive it.
class ReportKeeper {
 public:
  static ReportKeeper Load(FileSystem& files, Path file);

  // The last one that was made, by this process or an earlier one; sequence 0: none.
  const DeviceReport& last() const { return last_; }
  // Whether `now` is worth a report: the first of this process, something changed, or the last one is a day old. Never
  // two within a minute; when only counts of rejections grew, never two within an hour. `monotonic`: of a clock.
  bool IsDue(const DeviceReport& now, Millis monotonic) const;
  // `now` counts since this process's start; its sequence and boots are filled in. Durable on return. Errors: the file
  // system's; then its numbers were not used.
  Result<DeviceReport> Make(DeviceReport now, Millis monotonic);
  // What was made could not be sent: the next one is due as if none had been made, a minute from now.
  void SayAgain() { said_ = false; }

 private:
  ReportKeeper(FileSystem& files, Path file) : files_(&files), file_(std::move(file)) {}
  void AddEarlier(DeviceReport& report) const;

  FileSystem* files_;
  Path file_;
  DeviceReport earlier_;  // the last report before this process's start
  DeviceReport last_;
  std::optional<Millis> made_;
  bool said_ = false;
};

}  // namespace tributary

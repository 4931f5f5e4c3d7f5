#pragma once

#include <optional>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/spool/spool_account.h"
#include "protocol/spool/spool_account_table.h"
#include "protocol/spool/spool_options.h"
#include "protocol/spool/spooled_upload.h"

namespace tributary {

// Decides whether there is room for an offer, and what has to give way for it. In this order:
//
//   1. Small control uploads (evaluations of at most a report's length) may use the reserve; nothing else may.
//   2. Over half full, a device that holds more than its fair share (all bytes by the number of devices with something
//      here) gets no more, whatever it offers; a device that holds less still does. For small control uploads the rule
//      starts when half the reserve is used.
//   3. max_device_bytes and max_kind_bytes must leave room.
//   4. max_bytes and the disk (max_disk_percent, and the reserve) must leave room.
//
// For room in 4, kept payloads of dead letters are freed first, oldest first. Then telemetry gives way, oldest first,
// to updates, evaluations and newer telemetry: in 4 anybody's, for max_device_bytes the device's own, for
// max_kind_bytes of telemetry anybody's. Nothing gives way when it would not be enough. Updates, evaluations and
// samples never give way. Staged uploads neither, because they may be in use.
//
// Deterministic but for the disk. One thread at a time; options, file system and clock must outlive it.
class SpoolQuota {
 public:
  SpoolQuota(const SpoolOptions& options, FileSystem& files, const Clock& clock)
      : options_(options), files_(files), clock_(clock) {}

  // Looks at the disk's free space, at most once a second; `now`: even so.
  void LookAtDisk(bool now = false);
  // This many bytes went to the disk since.
  void Wrote(uint64_t bytes) { written_ += bytes; }
  const DiskSpace& disk() const { return disk_; }
  // kDiskFull: the disk is over max_disk_percent, or into the reserve, so that only small control uploads are taken.
  Status DiskHasRoom() const;

  // The bytes that must be freed so that the upload fits.
  struct Room {
    uint64_t dead_bytes = 0;
    uint64_t telemetry = 0;      // of anybody
    uint64_t own_telemetry = 0;  // of the same device, before that
  };
  // For `more` bytes of the upload, which has the room of `here` bytes so far: 0 and all of it at its offer, then chunk
  // by chunk. Errors: kQuotaExceeded, kDiskFull; both say whose quota it is, how much of it is used, and what is safe.
  struct Wish {
    const SpooledUpload& upload;
    uint64_t here = 0;
    uint64_t more = 0;
  };
  Result<Room> RoomFor(const Wish& wish, const SpoolAccount& account, const SpoolAccountTable::Holding& device) const;

 private:
  bool IsSmallControl(const SpooledUpload& offered) const;
  Status CheckFairness(const Wish& wish, const SpoolAccount& account, const SpoolAccountTable::Holding& device) const;
  Status CheckDevice(const Wish& wish, const SpoolAccountTable::Holding& device, Room& room) const;
  Status CheckKind(const Wish& wish, const SpoolAccount& account, Room& room) const;
  Status CheckSpool(const Wish& wish, const SpoolAccount& account, Room& room) const;
  bool MakesGiveWay(const SpooledUpload& offered) const;
  // Bytes that the disk must keep free beside ordinary uploads.
  uint64_t DiskReserve() const;
  uint64_t DiskFree(uint64_t unwritten) const;

  const SpoolOptions& options_;
  FileSystem& files_;
  const Clock& clock_;
  DiskSpace disk_;
  std::optional<Millis> looked_;
  uint64_t written_ = 0;
};

// A file without content that takes room on a full disk's behalf. It is given up when the disk is so full that the
// index cannot even note that an upload has left: SQLite writes to its log before it frees anything. So a gateway can
// drain itself out of a full disk. One thread at a time; the file system must outlive it.
class Ballast {
 public:
  // With 0 `bytes` there never is a file.
  Ballast(Path file, uint64_t bytes, FileSystem& files) : file_(std::move(file)), bytes_(bytes), files_(files) {}

  // Sees whether the file is there from an earlier run. Errors: those of FileSystem.
  Status Look();
  bool wanted() const { return bytes_ > 0 && !there_; }
  uint64_t bytes() const { return bytes_; }
  // Writes the file. It is not only allocated, so that file systems that compress or copy on write keep the room too.
  Status Make();
  // Removes the file. False: there was none.
  bool GiveUp();

 private:
  const Path file_;
  const uint64_t bytes_;
  FileSystem& files_;
  bool there_ = false;
};

}  // namespace tributary

#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/limits.h"
#include "protocol/envelope/envelope.h"

namespace tributary {

// The meaning of "complete" in a spool.
enum class SpoolMode {
  // Custody: it was synced before that was said, so it outlives a power cut, and its sender may delete its copy. For
  // devices and gateways.
  kDurable,
  // A copy: it outlives the process, not a power cut. The sender keeps custody until the spool's owner has used the
  // upload, so nothing here has to be synced, kept or made way for. For the aggregator.
  kStaging,
};

// Bytes are ciphertext bytes. A partial upload counts with what is here of it and its next chunk. spool_quota.h says
// what gives way when room is short.
struct SpoolOptions {
  Path folder = {};  // created when absent; one process at a time (FileLock is the process's to take)
  SpoolMode mode = SpoolMode::kDurable;
  // In custody, under way, and of dead letters whose payload is kept.
  uint64_t max_bytes = 16ull << 30;
  // Uploads are refused when more than this percentage of the file system would be in use, by anybody. 0: no limit.
  uint32_t max_disk_percent = 95;
  // Kept free, of max_bytes and on the disk, for the index and for small control uploads. It is never more than a tenth
  // of max_bytes, nor of the disk.
  uint64_t reserve_bytes = 64 * limits::kMiB;
  // One device's. 0: no limit but its fair share.
  uint64_t max_device_bytes = 0;
  // One kind's, in the order of kUploadKinds. 0: no limit.
  std::array<uint64_t, std::size(kUploadKinds)> max_kind_bytes = {};
  // Payloads of dead letters are kept up to this; beyond it the oldest are freed. Unset: a quarter of max_bytes.
  // Without custody none are kept: the sender still has the upload.
  std::optional<uint64_t> max_dead_bytes = std::nullopt;
  // A file that is given up when the index cannot even note that an upload has left, because the disk is full. Unset:
  // 4 MiB, but no more than 1/4,096 of max_bytes, so that a device's outbox stays small. 0, or without custody: none.
  std::optional<uint64_t> ballast_bytes = std::nullopt;
  // Payloads of at most this many bytes live in the index: one sync for many, no file each.
  size_t inline_limit = 64 * limits::kKiB;
  // A partial upload that got no chunk for this long is dropped by DropExpired: its sender is gone, and still has
  // custody. Long enough for a restart, and for an outage that sending again costs less than the room does.
  Millis abandon_after = std::chrono::hours(1);
  // Partial uploads of one kind that one device may have here: as many as a courier has under way of one priority.
  uint64_t max_partial = 32;
  // Open asks for the lengths of so many payload files, Probe for those of the rest, a page at a time: each costs 4 to
  // 8 µs, most of a long spool's start. That a file is there at all is known from the folder's list.
  size_t measured_at_open = 20'000;

  bool TakesCustody() const { return mode == SpoolMode::kDurable; }
  uint64_t Reserve() const { return std::min(reserve_bytes, max_bytes / 10); }
  uint64_t MaxDeadBytes() const { return TakesCustody() ? max_dead_bytes.value_or(max_bytes / 4) : 0; }
  uint64_t BallastBytes() const {
    return TakesCustody() ? ballast_bytes.value_or(std::min<uint64_t>(4 * limits::kMiB, max_bytes / 4096)) : 0;
  }
};

}  // namespace tributary

#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/limits.h"
#include "protocol/envelope/envelope.h"

namespace tributary {

enum class SpoolMode {
  kDurable,  // complete means custody: synced before it is said (device, gateway)
  kStaging,  // complete means complete: survives the process, not a power cut; custody is the caller's to take
             // (aggregator)
};

// Bytes are ciphertext bytes. What gives way to what, when room is short, is told in spool_quota.h.
struct SpoolOptions {
  Path folder = {};  // created when absent; one process at a time (FolderLock is the process's to take)
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
  // Staging keeps none, because the sender still has the upload.
  std::optional<uint64_t> max_dead_bytes = std::nullopt;
  // A file that is given up when the index cannot even note that an upload has left, because the disk is full. Unset:
  // 4 MiB, but no more than 1/4,096 of max_bytes, so that a device's outbox stays small. 0, or staging: none.
  std::optional<uint64_t> ballast_bytes = std::nullopt;
  // Payloads of at most this many bytes live in the index: one sync for many, no file each.
  size_t inline_limit = 64 * limits::kKiB;
  // A partial upload nobody touched for this long is dropped by DropExpired: its sender is gone, and still has custody.
  Millis abandon_after = std::chrono::hours(24 * 14);
  // Open asks for the lengths of so many payload files, Probe for those of the rest, a page at a time: each costs 4 to
  // 8 µs, most of a long spool's start. That a file is there at all is known from the folder's list.
  size_t measured_at_open = 20'000;

  uint64_t Reserve() const;
  uint64_t MaxDeadBytes() const;
  uint64_t BallastBytes() const;
};

}  // namespace tributary

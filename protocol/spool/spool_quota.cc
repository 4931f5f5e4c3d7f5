#include "protocol/spool/spool_quota.h"

#include <algorithm>
#include <utility>

#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

// statvfs costs about a microsecond, but on a network file system a round trip.
constexpr Millis kLookEvery = std::chrono::seconds(1);
// An evaluation may be longer than its record by this: headers of its codec and the seals of its chunks.
constexpr uint64_t kReportOverhead = 4 * limits::kKiB;
// Kept free even from small control uploads: the index's log grows by this much before it is folded back.
constexpr uint64_t kIndexBytes = 4 * limits::kMiB;

uint64_t Over(uint64_t wanted, uint64_t limit) { return wanted > limit ? wanted - limit : 0; }

template <class... Args>
tl::unexpected<Error> Refuse(Code code, fmt::format_string<Args...> text, Args&&... args) {
  return Fail(code, fmt::format(text, std::forward<Args>(args)...) +
                        "; what has custody is safe, the sender keeps this upload and tries again");
}

// Bytes that no file system makes smaller (xorshift64, Marsaglia 2003).
Bytes Incompressible(uint64_t count) {
  Bytes bytes(count);
  uint64_t state = 0x9e3779b97f4a7c15;
  for (uint8_t& byte : bytes) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    byte = static_cast<uint8_t>(state);
  }
  return bytes;
}

}  // namespace

void SpoolQuota::LookAtDisk(bool now) {
  const Millis time = clock_.Monotonic();
  if (!now && looked_ && time - *looked_ < kLookEvery) return;
  looked_ = time;
  written_ = 0;
  const auto space = files_.Space(options_.folder);
  if (!space) LogFailure(LogLevel::kWarning, "spool.disk_unknown", space.error());
  disk_ = space ? *space : DiskSpace{};
}

uint64_t SpoolQuota::DiskReserve() const {
  const uint64_t reserve = std::min(options_.Reserve(), disk_.total_bytes / 10);
  if (options_.max_disk_percent == 0 || options_.max_disk_percent >= 100) return reserve;
  return std::max(reserve, disk_.total_bytes / 100 * (100 - options_.max_disk_percent));
}

uint64_t SpoolQuota::DiskFree(uint64_t unwritten) const { return Over(disk_.free_bytes, written_ + unwritten); }

Status SpoolQuota::DiskHasRoom() const {
  if (disk_.total_bytes == 0 || DiskFree(0) > DiskReserve()) return {};
  return Refuse(
      Code::kDiskFull,
      "the disk of {} has {} of {} bytes free, {} bytes of them are kept free (spool.max_disk_percent and its "
      "reserve)",
      options_.folder.string(), disk_.free_bytes, disk_.total_bytes, DiskReserve());
}

bool SpoolQuota::IsSmallControl(const SpooledUpload& offered) const {
  return offered.kind == UploadKind::kEvaluation && offered.ciphertext_size <= limits::kRecordBytes + kReportOverhead;
}

bool SpoolQuota::MakesGiveWay(const SpooledUpload& offered) const {
  return options_.TakesCustody() && offered.kind != UploadKind::kSample;
}

Result<SpoolQuota::Room> SpoolQuota::RoomFor(const Wish& wish, const SpoolAccount& account,
                                             const SpoolAccountTable::Holding& device) const {
  Room room;
  RETURN_IF_ERROR(CheckFairness(wish, account, device));
  RETURN_IF_ERROR(CheckDevice(wish, device, room));
  RETURN_IF_ERROR(CheckKind(wish, account, room));
  RETURN_IF_ERROR(CheckSpool(wish, account, room));
  return room;
}

Status SpoolQuota::CheckFairness(const Wish& wish, const SpoolAccount& account,
                                 const SpoolAccountTable::Holding& device) const {
  const uint64_t starts =
      IsSmallControl(wish.upload) ? options_.max_bytes - options_.Reserve() / 2 : options_.max_bytes / 2;
  // An upload that was let in is not held against itself.
  if (device.bytes == wish.here || account.bytes <= starts) return {};
  const uint64_t share = options_.max_bytes / std::max<uint64_t>(account.devices, 1);
  if (device.bytes - wish.here <= share) return {};
  return Refuse(Code::kQuotaExceeded,
                "device {} holds {} bytes, its fair share of the spool among {} devices is {} bytes",
                wish.upload.device.text(), device.bytes, account.devices, share);
}

Status SpoolQuota::CheckDevice(const Wish& wish, const SpoolAccountTable::Holding& device, Room& room) const {
  if (options_.max_device_bytes == 0) return {};
  const uint64_t over = Over(device.bytes + wish.more, options_.max_device_bytes);
  if (over > 0 && (!MakesGiveWay(wish.upload) || over > device.telemetry)) {
    return Refuse(Code::kQuotaExceeded,
                  "device {} has {} of {} bytes in use (spool.max_device_mib), the upload has {} bytes",
                  wish.upload.device.text(), device.bytes, options_.max_device_bytes, wish.upload.ciphertext_size);
  }
  room.own_telemetry = over;
  return {};
}

Status SpoolQuota::CheckKind(const Wish& wish, const SpoolAccount& account, Room& room) const {
  const uint64_t limit = options_.max_kind_bytes[static_cast<size_t>(wish.upload.kind) - 1];
  if (limit == 0) return {};
  const uint64_t used = account.bytes_of(wish.upload.kind);
  const uint64_t over = Over(used + wish.more, limit);
  const bool gives_way = wish.upload.kind == UploadKind::kDeviceState && MakesGiveWay(wish.upload) && over <= used;
  if (over > 0 && !gives_way) {
    return Refuse(Code::kQuotaExceeded, "uploads of kind {} have {} of {} bytes in use, the upload has {} bytes",
                  KindName(wish.upload.kind), used, limit, wish.upload.ciphertext_size);
  }
  room.telemetry = Over(over, room.own_telemetry);
  return {};
}

Status SpoolQuota::CheckSpool(const Wish& wish, const SpoolAccount& account, Room& room) const {
  const bool small = IsSmallControl(wish.upload);
  const uint64_t limit = options_.max_bytes - (small ? 0 : options_.Reserve());
  const uint64_t over_spool = Over(account.bytes + account.dead_bytes + wish.more, limit);
  const uint64_t keep = small ? std::min(kIndexBytes, disk_.total_bytes / 100) : DiskReserve();
  const uint64_t over_disk = disk_.total_bytes == 0 ? 0 : Over(keep + wish.more, DiskFree(account.unwritten));
  const uint64_t over = std::max(over_spool, over_disk);
  room.dead_bytes = std::min(over, account.dead_bytes);
  const uint64_t telemetry = std::max(over - room.dead_bytes, room.telemetry + room.own_telemetry);
  const bool enough = telemetry <= account.bytes_of(UploadKind::kDeviceState) && MakesGiveWay(wish.upload);
  if (telemetry == 0 || enough) {
    room.telemetry = Over(telemetry, room.own_telemetry);
    return {};
  }
  if (over_disk > over_spool) {
    return Refuse(
        Code::kDiskFull,
        "the disk of {} has {} of {} bytes free, {} bytes are kept free and {} bytes promised, the upload has "
        "{} bytes",
        options_.folder.string(), disk_.free_bytes, disk_.total_bytes, keep, account.unwritten,
        wish.upload.ciphertext_size);
  }
  return Refuse(Code::kQuotaExceeded,
                "the spool has {} of {} bytes in use (spool.max_mib) and keeps {} bytes for the index and control "
                "uploads, the upload has {} bytes",
                account.bytes, options_.max_bytes, options_.max_bytes - limit, wish.upload.ciphertext_size);
}

// ---- Ballast

Status Ballast::Look() {
  const auto size = files_.Size(file_);
  if (!size && size.error().code != Code::kNotFound) return Fail(size.error());
  there_ = size && *size >= bytes_;
  return {};
}

Status Ballast::Make() {
  if (!wanted()) return {};
  RETURN_IF_ERROR(WriteFileAtomically(files_, file_, Incompressible(bytes_)));
  TRIBUTARY_FAULT_POINT("spool.ballast.written");
  there_ = true;
  return {};
}

bool Ballast::GiveUp() {
  if (!there_) return false;
  there_ = false;
  if (const Status removed = files_.Remove(file_); !removed) {
    LogFailure(LogLevel::kError, "spool.ballast_stuck", removed.error());
    return false;
  }
  TRIBUTARY_FAULT_POINT("spool.ballast.removed");
  LogWarning("spool.ballast_given_up", {{"bytes", bytes_}});
  return true;
}

}  // namespace tributary

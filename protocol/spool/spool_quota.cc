#include "protocol/spool/spool_quota.h"

#include <algorithm>
#include <string>

#include "protocol/base/log.h"

namespace tributary {
namespace {

// statvfs costs about a microsecond, but on a network file system a round trip.
constexpr Millis kLookEvery = std::chrono::seconds(1);
// What an evaluation may be longer than its report by: headers of its codec and the seals of its chunks.
constexpr uint64_t kReportOverhead = 4 * limits::kKiB;
// Kept free even from small control uploads: the index's log grows by this much before it is folded back.
constexpr uint64_t kIndexBytes = 4 * limits::kMiB;

uint64_t Over(uint64_t wanted, uint64_t limit) { return wanted > limit ? wanted - limit : 0; }

std::string InBytes(uint64_t count) { return std::to_string(count) + " bytes"; }

std::string Of(uint64_t used, uint64_t limit) { return std::to_string(used) + " of " + InBytes(limit); }

constexpr std::string_view kSafe = "; what has custody is safe, the sender keeps this upload and tries again";

tl::unexpected<Error> Refuse(Code code, std::string what) { return Fail(code, std::move(what) + std::string(kSafe)); }

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
  return Refuse(Code::kDiskFull, "the disk of " + options_.folder.string() + " has " +
                                     Of(disk_.free_bytes, disk_.total_bytes) + " free, " + InBytes(DiskReserve()) +
                                     " of them are kept free (spool.max_disk_percent and its reserve)");
}

bool SpoolQuota::IsSmallControl(const SpooledUpload& offered) const {
  return offered.kind == UploadKind::kEvaluation && offered.ciphertext_size <= limits::kRecordBytes + kReportOverhead;
}

bool SpoolQuota::MakesGiveWay(const SpooledUpload& offered) const {
  return options_.mode == SpoolMode::kDurable && offered.kind != UploadKind::kSample;
}

Result<SpoolQuota::Room> SpoolQuota::RoomFor(const SpooledUpload& offered, const SpoolAccount& account,
                                             const SpoolAccountTable::Holding& device) const {
  Room room;
  RETURN_IF_ERROR(CheckFairness(offered, account, device));
  RETURN_IF_ERROR(CheckDevice(offered, device, room));
  RETURN_IF_ERROR(CheckKind(offered, account, room));
  RETURN_IF_ERROR(CheckSpool(offered, account, room));
  return room;
}

Status SpoolQuota::CheckFairness(const SpooledUpload& offered, const SpoolAccount& account,
                                 const SpoolAccountTable::Holding& device) const {
  const uint64_t starts =
      IsSmallControl(offered) ? options_.max_bytes - options_.Reserve() / 2 : options_.max_bytes / 2;
  if (device.uploads == 0 || account.bytes <= starts) return {};
  const uint64_t share = options_.max_bytes / std::max<uint64_t>(account.devices, 1);
  if (device.bytes <= share) return {};
  return Refuse(Code::kQuotaExceeded, "device " + offered.device.text() + " holds " + InBytes(device.bytes) +
                                          ", its fair share of the spool among " + std::to_string(account.devices) +
                                          " devices is " + InBytes(share));
}

Status SpoolQuota::CheckDevice(const SpooledUpload& offered, const SpoolAccountTable::Holding& device,
                               Room& room) const {
  if (options_.max_device_bytes == 0) return {};
  const uint64_t over = Over(device.bytes + offered.ciphertext_size, options_.max_device_bytes);
  if (over > 0 && (!MakesGiveWay(offered) || over > device.telemetry)) {
    return Refuse(Code::kQuotaExceeded,
                  "device " + offered.device.text() + " has " + Of(device.bytes, options_.max_device_bytes) +
                      " in use (spool.max_device_mib), the upload has " + InBytes(offered.ciphertext_size));
  }
  room.own_telemetry = over;
  return {};
}

Status SpoolQuota::CheckKind(const SpooledUpload& offered, const SpoolAccount& account, Room& room) const {
  const uint64_t limit = options_.max_kind_bytes[static_cast<size_t>(offered.kind) - 1];
  if (limit == 0) return {};
  const uint64_t used = account.bytes_of(offered.kind);
  const uint64_t over = Over(used + offered.ciphertext_size, limit);
  const bool gives_way = offered.kind == UploadKind::kDeviceState && MakesGiveWay(offered) && over <= used;
  if (over > 0 && !gives_way) {
    return Refuse(Code::kQuotaExceeded, "uploads of kind " + std::string(KindName(offered.kind)) + " have " +
                                            Of(used, limit) + " in use, the upload has " +
                                            InBytes(offered.ciphertext_size));
  }
  room.telemetry = Over(over, room.own_telemetry);
  return {};
}

Status SpoolQuota::CheckSpool(const SpooledUpload& offered, const SpoolAccount& account, Room& room) const {
  const uint64_t size = offered.ciphertext_size;
  const bool small = IsSmallControl(offered);
  const uint64_t limit = options_.max_bytes - (small ? 0 : options_.Reserve());
  const uint64_t over_spool = Over(account.bytes + account.dead_bytes + size, limit);
  const uint64_t keep = small ? std::min(kIndexBytes, disk_.total_bytes / 100) : DiskReserve();
  const uint64_t over_disk = disk_.total_bytes == 0 ? 0 : Over(keep + size, DiskFree(account.unwritten));
  const uint64_t over = std::max(over_spool, over_disk);
  room.dead_bytes = std::min(over, account.dead_bytes);
  const uint64_t telemetry = std::max(over - room.dead_bytes, room.telemetry + room.own_telemetry);
  const bool enough = telemetry <= account.bytes_of(UploadKind::kDeviceState) && MakesGiveWay(offered);
  if (telemetry == 0 || enough) {
    room.telemetry = Over(telemetry, room.own_telemetry);
    return {};
  }
  if (over_disk > over_spool) {
    return Refuse(Code::kDiskFull, "the disk of " + options_.folder.string() + " has " +
                                       Of(disk_.free_bytes, disk_.total_bytes) + " free, " + InBytes(keep) +
                                       " are kept free and " + InBytes(account.unwritten) +
                                       " promised, the upload has " + InBytes(size));
  }
  return Refuse(Code::kQuotaExceeded, "the spool has " + Of(account.bytes, options_.max_bytes) +
                                          " in use (spool.max_mib) and keeps " + InBytes(options_.max_bytes - limit) +
                                          " for the index and control uploads, the upload has " + InBytes(size));
}

}  // namespace tributary

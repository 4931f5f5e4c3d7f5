#include "aggregator/store/disk_health.h"

#include "protocol/base/limits.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr Millis kRetry{1000};
// The database's log grows by much less between two of its checkpoints.
constexpr uint64_t kReserveBytes = limits::kMiB;

}  // namespace

void DiskHealth::Failed(std::string_view event, const Error& error) {
  LogFailure(LogLevel::kError, event, error);
  trouble_ = error;
  retry_at_ = clock_.Monotonic() + kRetry;
}

void DiskHealth::Recovered() {
  if (trouble_) LogInfo("disk.works_again", {{"was", Name(trouble_->code)}});
  trouble_.reset();
}

Status DiskHealth::status() const {
  if (!trouble_) return {};
  if (trouble_->code == Code::kDamagedBlob) return Fail(*trouble_);
  const Code code = IsTransient(trouble_->code) ? trouble_->code : Code::kIo;
  return Fail(code,
              "the aggregator cannot write to its data folder now ({}); nothing that was acknowledged is lost, senders "
              "keep the rest, and work goes on by itself when writing succeeds",
              trouble_->message);
}

Status CheckRoom(FileSystem& files, const Path& folder, uint64_t bytes, std::string_view what) {
  const auto space = files.Space(folder);
  if (!space || space->free_bytes >= bytes + kReserveBytes) return {};
  return Fail(Code::kDiskFull, "{} needs {} bytes in {} and {} to spare; {} are free", what, bytes, folder.string(),
              kReserveBytes, space->free_bytes);
}

}  // namespace tributary

#include "aggregator/store/disk_health.h"

#include <string>

#include "protocol/base/limits.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr Millis kRetry{1000};
// What the database's log grows by between two of its checkpoints is well below this.
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
  const Code code = IsTransient(trouble_->code) ? trouble_->code : Code::kIo;
  return Fail(code, "the aggregator cannot write to its data folder now (" + trouble_->message +
                        "); nothing that was acknowledged is lost, senders keep the rest, and work goes on by itself "
                        "when writing succeeds");
}

Status CheckRoom(FileSystem& files, const Path& folder, uint64_t bytes, std::string_view what) {
  const auto space = files.Space(folder);
  if (!space || space->free_bytes >= bytes + kReserveBytes) return {};
  return Fail(Code::kDiskFull, std::string(what) + " needs " + std::to_string(bytes) + " bytes in " + folder.string() +
                                   " and " + std::to_string(kReserveBytes) + " to spare; " +
                                   std::to_string(space->free_bytes) + " are free");
}

}  // namespace tributary

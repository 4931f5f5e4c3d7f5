#include "protocol/base/time_floor.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

namespace tributary {
namespace {

constexpr std::string_view kHead = "tributary-time-floor 1\n";
constexpr size_t kMostBytes = 64;
constexpr Millis kStep = std::chrono::hours(24);
// Two facts that lie so far apart by this process's count, and as far by their own dates, confirm one another.
constexpr Millis kConfirming = std::chrono::hours(1);
constexpr Millis kTolerance = std::chrono::minutes(5);

}  // namespace

Result<std::unique_ptr<TimeFloor>> TimeFloor::Open(const Clock& clock, FileSystem& files, Path file) {
  std::unique_ptr<TimeFloor> time(new TimeFloor(clock, files, std::move(file)));
  const auto bytes = ReadFile(files, time->file_, kMostBytes);
  if (!bytes && bytes.error().code == Code::kNotFound) return time;
  if (!bytes) return Fail(bytes.error());
  std::string_view text = AsText(*bytes);
  int64_t millis = -1;
  if (text.starts_with(kHead) && text.ends_with('\n')) {
    text.remove_prefix(kHead.size());
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), millis);
    if (error != std::errc() || *end != '\n' || end + 1 != text.data() + text.size()) millis = -1;
  }
  if (millis < 0) {
    return Fail(Code::kCorrupt,
                "{}: not a floor of time; remove the file to begin anew (set the clock first, since what has expired "
                "is believed again without it)",
                time->file_.string());
  }
  time->floor_ = {millis};
  time->sure_ = Moment{time->floor_, clock.Monotonic()};
  return time;
}

WallTime TimeFloor::Now() const {
  const std::lock_guard lock(mutex_);
  return std::max(clock_.Now(), floor_);
}

WallTime TimeFloor::floor() const {
  const std::lock_guard lock(mutex_);
  return floor_;
}

WallTime TimeFloor::Own() const {
  const std::lock_guard lock(mutex_);
  const WallTime own = clock_.Now();
  return own < floor_ ? WallTime{} : own;
}

WallTime TimeFloor::Plausible(WallTime fact) {
  const Millis now = clock_.Monotonic();
  const auto confirms = [&](const Moment& other) {
    const int64_t off = fact.unix_millis - other.At(now).unix_millis;
    return now - other.monotonic >= kConfirming && std::abs(off) <= kTolerance.count();
  };
  if (!sure_ || fact <= clock_.Now() + kTolerance || (heard_ && confirms(*heard_))) {
    sure_ = {fact, now};
    heard_.reset();
    return fact;
  }
  if (!heard_ || std::abs(fact.unix_millis - heard_->At(now).unix_millis) > kTolerance.count()) heard_ = {fact, now};
  return std::min(fact, sure_->At(now) + kStep);
}

Status TimeFloor::Raise(WallTime fact) {
  const std::lock_guard lock(mutex_);
  if (fact > floor_) fact = Plausible(fact);
  if (fact <= floor_ && kept_) return {};
  floor_ = std::max(floor_, fact);
  kept_ = false;
  RETURN_IF_ERROR(
      WriteFileAtomically(files_, file_, AsBytes(std::string(kHead) + std::to_string(floor_.unix_millis) + "\n")));
  kept_ = true;
  return {};
}

Result<std::string> ForgetTime(FileSystem& files, const Path& data_dir) {
  ASSIGN_OR_RETURN(const FileLock lock, FileLock::Take(data_dir));
  const Path file = data_dir / kTimeFloorFile;
  RETURN_IF_ERROR(files.Size(file));
  RETURN_IF_ERROR(files.Remove(file));
  RETURN_IF_ERROR(files.SyncFolder(data_dir));
  return fmt::format(
      "{} is gone. This machine's clock is believed again, until the next publication; set it right first\n",
      file.string());
}

}  // namespace tributary

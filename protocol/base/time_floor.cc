#include "protocol/base/time_floor.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

namespace tributary {
namespace {

constexpr std::string_view kHead = "tributary-time-floor 1\n";
constexpr size_t kMostBytes = 64;

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

Status TimeFloor::Raise(WallTime fact) {
  const std::lock_guard lock(mutex_);
  if (fact <= floor_ && kept_) return {};
  floor_ = std::max(floor_, fact);
  kept_ = false;
  RETURN_IF_ERROR(
      WriteFileAtomically(files_, file_, AsBytes(std::string(kHead) + std::to_string(floor_.unix_millis) + "\n")));
  kept_ = true;
  return {};
}

}  // namespace tributary

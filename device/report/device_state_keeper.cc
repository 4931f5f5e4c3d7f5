#include "device/report/device_state_keeper.h"

#include <algorithm>
#include <chrono>
#include <ranges>
#include <tuple>

#include "protocol/base/limits.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr Millis kForFailures = std::chrono::seconds(10);
constexpr Millis kAtLeast = std::chrono::minutes(1);
constexpr Millis kForCounts = std::chrono::hours(1);
constexpr Millis kAtMost = std::chrono::hours(24);

// A state lists only so many: the latest.
void KeepLatest(std::map<TaskId, DeviceState::Failure>& failures) {
  while (failures.size() > limits::kDeviceStateFailures)
    failures.erase(std::ranges::min_element(failures, {}, [](const auto& of) { return of.second.last; }));
}

// The failures that a state lists, with how often each happened.
using FailureCounts = std::map<std::tuple<TaskId, Code, ModelVersion, bool>, uint64_t>;
FailureCounts CountsOf(std::map<TaskId, DeviceState::Failure> failures) {
  KeepLatest(failures);
  FailureCounts counts;
  for (const auto& [task, failure] : failures)
    counts[{task, failure.code, failure.version, failure.lasting}] = failure.count;
  return counts;
}

}  // namespace

DeviceStateKeeper DeviceStateKeeper::Load(FileSystem& files, Path file) {
  DeviceStateKeeper keeper(files, std::move(file));
  const auto bytes = ReadFile(files, keeper.file_, limits::kRecordBytes);
  if (!bytes && bytes.error().code == Code::kNotFound) return keeper;
  auto state = bytes ? DecodeDeviceState(*bytes) : Result<DeviceState>(Fail(bytes.error()));
  if (state) {
    keeper.earlier_ = *state;
    keeper.last_ = std::move(*state);
  } else {
    LogFailure(LogLevel::kError, "device_state.numbers_lost", state.error(), {{"file", keeper.file_.string()}});
  }
  return keeper;
}

bool DeviceStateKeeper::IsDue(const DeviceState& now, Millis monotonic) const {
  if (!made_) return true;
  const Millis age = monotonic - *made_;
  const FailureCounts failures = CountsOf(now.failures), said = CountsOf(last_.failures);
  const bool news = !std::ranges::equal(std::views::keys(failures), std::views::keys(said));
  if (said_ && news && age >= kForFailures) return true;
  if (age < kAtLeast) return false;
  if (!said_ || age >= kAtMost) return true;
  const bool new_code =
      std::ranges::any_of(now.rejections, [this](const auto& one) { return !last_.rejections.contains(one.first); });
  if (now.installed != last_.installed || now.withheld != last_.withheld || now.root_version != last_.root_version ||
      new_code) {
    return true;
  }
  DeviceState total = now;
  AddEarlier(total);
  return (total.rejections != last_.rejections || failures != said) && age >= kForCounts;
}

void DeviceStateKeeper::AddEarlier(DeviceState& state) const {
  // The counts of an earlier process come from a file, which may say anything.
  const auto add = [](uint64_t& to, uint64_t more) { to = std::min(to + more, limits::kCounter); };
  for (const auto& [name, value] : earlier_.counters) add(state.counters[name], value);
  for (const auto& [code, rejections] : last_.rejections) {
    const auto known = earlier_.rejections.find(code);
    const uint64_t before = known == earlier_.rejections.end() ? 0 : known->second.count;
    auto [now, fresh] = state.rejections.try_emplace(code, rejections);
    if (fresh) continue;  // of earlier processes, or none since
    add(now->second.count, before);
    if (now->second.last_sentence.empty()) {
      now->second.last_sentence = rejections.last_sentence;
      now->second.last = rejections.last;
    }
  }
}

Result<DeviceState> DeviceStateKeeper::Make(DeviceState now, Millis monotonic) {
  AddEarlier(now);
  // More codes than a state may list: those that were said before stay.
  for (auto one = now.rejections.end(); now.rejections.size() > limits::kDeviceStateRejections;) {
    --one;
    if (!last_.rejections.contains(one->first)) one = now.rejections.erase(one);
  }
  KeepLatest(now.failures);
  now.sequence = last_.sequence + 1;
  now.boots = earlier_.boots + 1;
  const Bytes bytes = EncodeDeviceState(now);
  RETURN_IF_ERROR(WriteFileAtomically(*files_, file_, bytes));
  ASSIGN_OR_RETURN(last_, DecodeDeviceState(bytes));  // as others will read it
  made_ = monotonic;
  said_ = true;
  return last_;
}

}  // namespace tributary

#include "aggregator/watch/failure_book.h"

#include <algorithm>

namespace tributary {

std::vector<FailureBook::Change> FailureBook::Put(const DeviceStateRecord& state) {
  std::map<TaskId, Change> changes;
  for (auto& [task, devices] : entries_) {
    const auto before = devices.find(state.device);
    if (before == devices.end() || state.report.failures.contains(task)) continue;
    Uncount(task, before->second.failure);
    changes[task] = {task, std::move(before->second.failure), true};
    devices.erase(before);
  }
  for (const auto& [task, failure] : state.report.failures) {
    const auto [at, is_new] = entries_[task].try_emplace(state.device);
    if (is_new || at->second.failure.code != failure.code) changes[task] = {task, failure, false};
    if (!is_new) Uncount(task, at->second.failure);
    at->second = {failure, state.received};
    Count(task, failure);
  }
  std::erase_if(entries_, [](const auto& of) { return of.second.empty(); });
  std::vector<Change> list;
  for (auto& [task, change] : changes) list.push_back(std::move(change));
  return list;
}

const FailureBook::Entry* FailureBook::Find(const TaskId& task, const DeviceId& device) const {
  const auto devices = entries_.find(task);
  if (devices == entries_.end()) return nullptr;
  const auto found = devices->second.find(device);
  return found == devices->second.end() ? nullptr : &found->second;
}

std::vector<DeviceId> FailureBook::Devices(const TaskId& task, const Slice<DeviceId>& slice) const {
  std::vector<DeviceId> failing;
  const auto devices = entries_.find(task);
  if (devices == entries_.end()) return failing;
  for (auto at = devices->second.upper_bound(slice.after); at != devices->second.end() && failing.size() < slice.most;
       ++at)
    failing.push_back(at->first);
  return failing;
}

std::map<Code, uint64_t> FailureBook::Counts(const TaskId& task, std::optional<ModelVersion> version) const {
  CountsByCode counts;
  const auto versions = counts_.find(task);
  if (versions == counts_.end()) return counts;
  if (version) {
    const auto found = versions->second.find(*version);
    return found == versions->second.end() ? counts : found->second;
  }
  for (const auto& [of, by_code] : versions->second) {
    for (const auto& [code, count] : by_code) counts[code] += count;
  }
  return counts;
}

void FailureBook::Count(const TaskId& task, const DeviceState::Failure& failure) {
  ++counts_[task][failure.version][failure.code];
}

void FailureBook::Uncount(const TaskId& task, const DeviceState::Failure& failure) {
  auto& versions = counts_[task];
  CountsByCode& by_code = versions[failure.version];
  if (--by_code[failure.code] == 0) by_code.erase(failure.code);
  if (by_code.empty()) versions.erase(failure.version);
  if (versions.empty()) counts_.erase(task);
}

}  // namespace tributary

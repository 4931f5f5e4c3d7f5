#include "aggregator/round/ask_again.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "protocol/base/limits.h"

namespace tributary {
namespace {

// Those whose contributions count on the round's base; empty when they are too many to be named.
Result<std::vector<uint64_t>> CountedNames(Store& store, const RoundRecord& round, const RoundKeeper* open) {
  ASSIGN_OR_RETURN(const auto counted, store.contributions.Devices(round.task, round.base));
  std::set<DeviceId> devices(counted.begin(), counted.end());
  if (open != nullptr) open->AddPendingDevices(devices);
  std::vector<uint64_t> names;
  if (devices.size() > limits::kAskedDevices) return names;
  std::ranges::transform(devices, std::back_inserter(names), &AskedName);
  return names;
}

}  // namespace

RoundAnnouncement CoinOf(const RoundRecord& round, const RoundPolicy& policy) {
  return {.number = round.number,
          .nonce = round.nonce,
          .inclusion = round.inclusion > 0 ? round.inclusion : policy.inclusion,
          .deadline = round.deadline};
}

Result<AskAgain> AskAfter(Store& store, const RoundRecord& last, const RoundKeeper* open) {
  AskAgain again = last.again;
  if (last.state != RoundState::kFailed) return again;
  ++again.times;
  again.asked.clear();
  ASSIGN_OR_RETURN(again.counted, CountedNames(store, last, open));
  return again;
}

Result<AskAgain> AskOnceMore(Store& store, const TaskRecord& task, const RoundKeeper& open,
                             const std::optional<DeviceId>& device) {
  const RoundRecord& round = open.record();
  AskAgain again = round.again;
  const bool everybody_was = again.times > 0 && again.asked.empty();
  if (device) {
    ASSIGN_OR_RETURN(const bool counted, store.contributions.Has(round.task, round.base, *device));
    if (counted || open.PendingUpload(round.base, *device) != nullptr)
      return Fail(Code::kConflict, "{} counts already on version {}", device->text(), Number(round.base));
    if (!IsSelected(CoinOf(round, task.policy), *device))
      return Fail(Code::kConflict, "{} is not in round {}, by chance (policy.inclusion or over_selection)",
                  device->text(), round.number);
    if (!everybody_was) again.asked.push_back(AskedName(*device));
  }
  if (!device || again.asked.size() > limits::kAskedDevices) again.asked.clear();
  ++again.times;
  ASSIGN_OR_RETURN(again.counted, CountedNames(store, round, &open));
  return again;
}

}  // namespace tributary

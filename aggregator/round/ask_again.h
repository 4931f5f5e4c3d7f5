#pragma once

#include <optional>

#include "aggregator/round/round_keeper.h"

// Who is asked again for a base version: all whose contributions do not count, or those that an operator names.
namespace tributary {

// The draw by which devices are in a round.
RoundAnnouncement CoinOf(const RoundRecord& round, const RoundPolicy& policy);

// What the round after `last`, on the same base, says to devices that worked on it already: when `last` fell short, all
// that do not count are asked once more. `open`: the keeper of `last` while it is there; null: what it held is stored.
Result<AskAgain> AskAfter(Store& store, const RoundRecord& last, const RoundKeeper* open);

// What the open round says when this device, or everybody that does not count, is asked once more. kConflict: the device
// counts already, or is not in the round.
Result<AskAgain> AskOnceMore(Store& store, const TaskRecord& task, const RoundKeeper& open,
                             const std::optional<DeviceId>& device);

}  // namespace tributary

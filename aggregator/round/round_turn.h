#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "aggregator/intake/open_update.h"
#include "aggregator/publish/publisher.h"
#include "aggregator/round/outlook.h"
#include "aggregator/round/robust_round.h"
#include "aggregator/round/round_rule.h"
#include "aggregator/store/store.h"
#include "aggregator/watch/fleet_book.h"

namespace tributary {

// The surroundings of rounds.
struct RoundParts {
  Store& store;
  BlobStore& blobs;
  FileSystem& files;
  const Clock& clock;
  Path checkpoints;  // the folder
  EventLine& events;
  Announcer& announcer;
  FleetBook& fleet;
  FindEnrolled enrolled;
  UpdateReader& reader;  // of the updates of all rounds, one at a time
  // These uploads are counted for good: the senders may delete them.
  std::function<void(const std::vector<UploadId>&)> custody;
};

// The changes to a task when its round ends, or when it gets its first one.
struct RoundTurn {
  TaskRecord task;
  std::optional<StoredRound> ended = {};
  std::optional<VersionRecord> version = {};
  std::optional<StoredManifest> manifest = {};  // of `version`
  std::vector<DeviceCosine> cosines = {};  // of the round that ended, measured now
  std::optional<StoredRound> next = {};
  std::optional<StoredRound> shelved = {};  // what stays on the shelf after this turn
  // The round whose sum `next` goes on with; its row names no file any more.
  std::optional<StoredRound> unshelved = {};
  bool visible = false;  // devices must hear of it even if none of these is there
};

// In one transaction. `visible`: to devices, so a publication is owed by it.
Status WriteTurn(const RoundParts& parts, const RoundRule& rule, const RoundTurn& turn, bool visible);

}  // namespace tributary

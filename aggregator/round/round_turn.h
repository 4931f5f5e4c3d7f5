#pragma once

#include <array>
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
#include "protocol/base/executor.h"
#include "protocol/base/random.h"

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
  // Of private tasks: the noise's randomness, the folder of ledgers and noise, and who draws it (null: it is drawn at once).
  Random* random = nullptr;
  Path privacy = {};
  Executor* worker = nullptr;
};

// The changes to a task when its round ends, or when it gets its first one.
struct RoundTurn {
  TaskRecord task;
  std::optional<StoredRound> ended = {};
  std::optional<VersionRecord> version = {};
  std::optional<StoredManifest> manifest = {};  // of `version`
  std::vector<DeviceCosine> cosines = {};       // of the round that ended, measured now
  std::optional<StoredRound> next = {};
  std::optional<StoredRound> shelved = {};  // what stays on the shelf after this turn
  // The round whose sum `next` goes on with; its row names no file any more.
  std::optional<StoredRound> unshelved = {};
  std::optional<SpentPrivacy> spent = {};  // up to `version`, of a private task
  std::string stopped = {};                // why no next round begins though it is wanted
  bool visible = false;                    // devices must hear of it even if none of these is there
};

// In one transaction. `visible`: to devices, so a publication is owed by it.
Status WriteTurn(const RoundParts& parts, const RoundRule& rule, const RoundTurn& turn, bool visible);

// The round before the next one: the one that ends now, or the newest that is stored; nullopt: there is none.
Result<std::optional<RoundRecord>> LastRound(const std::optional<StoredRound>& ended, Store& store, const TaskId& task,
                                             uint64_t number);
// `next` goes on with the sum that is on the shelf.
void GoOnWithShelf(RoundTurn& turn, StoredRound& next);
// SHA-256 over the task, the digest of the weights that it begins at and its number: whoever has the publication can
// make it again, and nobody can choose it. The weights follow from the sum of the version before.
std::array<uint8_t, 16> NonceOf(const RoundRecord& round, const Digest& base_weights);

}  // namespace tributary

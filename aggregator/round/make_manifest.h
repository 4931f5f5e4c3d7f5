#pragma once

#include "aggregator/store/store.h"

namespace tributary {

// What `version` was made of, by its round, which has just ended: `first_round` is the first of the rounds whose sum it
// went on with. The leaves are sorted, so the root depends on no order.
Result<StoredManifest> MakeManifest(Store& store, TaskRecord task, const VersionRecord& version,
                                    const RoundRecord& round, uint64_t first_round);

}  // namespace tributary

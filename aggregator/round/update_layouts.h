#pragma once

#include <map>
#include <utility>

#include "aggregator/intake/open_update.h"
#include "aggregator/release/task_book.h"
#include "aggregator/store/store.h"
#include "protocol/catalogue/blob_store.h"

namespace tributary {

// The layouts of updates from the versions that tasks take now: each is made when the first update of its version comes.
// Borrows store and blobs; one thread.
class UpdateLayouts {
 public:
  UpdateLayouts(Store& store, const BlobStore& blobs) : store_(store), blobs_(blobs) {}
  // `oldest`: the first version that is accepted; those of older ones are forgotten. It is valid until the next call with
  // this task. Errors: those of VisitWeights; kNotFound.
  Result<const UpdateLayout*> Of(const LiveTask& task, ModelVersion base, ModelVersion oldest);

 private:
  Store& store_;
  const BlobStore& blobs_;
  std::map<std::pair<TaskId, ModelVersion>, UpdateLayout> layouts_;
};

}  // namespace tributary

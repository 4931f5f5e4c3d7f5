#pragma once

#include <memory>
#include <mutex>
#include <utility>

#include "device/examples/collection_store.h"

namespace tributary {

// The device's own collections for any thread: one connection, one call at a time. It is opened when it is first needed.
class SharedStore {
 public:
  explicit SharedStore(Path folder) : folder_(std::move(folder)) {}

  // What `act` answers; it is given the store. Errors beside: those of CollectionStore::Open.
  template <class Act>
  auto Use(Act act) -> decltype(act(std::declval<CollectionStore&>())) {
    const std::lock_guard lock(mutex_);
    if (!store_) {
      ASSIGN_OR_RETURN(store_, CollectionStore::Open(folder_));
    }
    return act(*store_);
  }

 private:
  const Path folder_;
  std::mutex mutex_;
  std::unique_ptr<CollectionStore> store_;
};

}  // namespace tributary

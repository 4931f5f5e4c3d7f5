#pragma once

#include <memory>
#include <mutex>

#include "device/examples/collection_store.h"
#include "device/learn/learner.h"
#include "protocol/base/clock.h"

namespace tributary {

// Both shares as held-out ones: an evaluator evaluates all that it has.
TaskExamples AllHeldOut(TaskExamples examples);

// The examples of the collection that a task's manifest names, read from the device's store for each fit; with a fallback
// for the collection "examples" when the store has none of that name. Clock must outlive it. Thread safe.
class CollectionExamples final : public ExampleSource {
 public:
  // Makes the fallback, whenever it is needed: a device that waits holds no examples.
  using Fallback = std::function<Result<TaskExamples>()>;
  struct Options {
    Path folder;  // of the store
    // An evaluator evaluates all that it has.
    bool evaluates_all = false;
    Fallback fallback;          // empty: there is none
    Path fallback_folder = {};  // what it reads
    // For the error when a collection is not there.
    std::string filled_by = "tributary-device data import --config device.toml";
  };

  CollectionExamples(const Clock& clock, Options options) : clock_(clock), options_(std::move(options)) {}
  Result<TaskExamples> Load(const TaskManifest& manifest) override;
  // That of the store (collection_store.h).
  Result<uint64_t> Generation(const TaskManifest& manifest) override;
  std::string Stamp() override;
  // Applies retention. No error when there is no store.
  Status Sweep();

 private:
  // nullptr: there is no store.
  Result<CollectionStore*> Store() { return OpenIn(store_); }
  Result<CollectionStore*> OpenIn(std::unique_ptr<CollectionStore>& store) const;
  Result<TaskExamples> LoadFallback(const TaskManifest& manifest, const Error& missing);

  const Clock& clock_;
  const Options options_;
  std::mutex mutex_;  // a store is for one thread
  std::unique_ptr<CollectionStore> store_;
  // A connection of its own: a Load takes long.
  std::mutex generation_mutex_;
  std::unique_ptr<CollectionStore> generation_store_;
};

}  // namespace tributary

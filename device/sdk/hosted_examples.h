#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "device/examples/collection.h"
#include "device/learn/learner.h"
#include "device/sdk/shared_store.h"

namespace tributary {

// Collections that an application keeps itself: each Load takes all examples from the application, in its order. Deletions
// raise the number that the store keeps for a collection of this name (collection_store.h), so they outlive the process.
// Thread safe, but that Host comes while nothing loads. The store must outlive it, and it what Over returns.
class HostedExamples {
 public:
  // Goes once over the examples. The application's errors pass through.
  class Iterator {
   public:
    virtual ~Iterator() = default;
    // False: there are no more.
    virtual Result<bool> Next(NewExample& example) = 0;
  };
  struct Collection {
    CollectionSettings settings;  // name, fields, held_out_share
    std::function<Result<std::unique_ptr<Iterator>>()> open;
  };

  explicit HostedExamples(SharedStore& store) : store_(store) {}

  // In the place of one of the same name. Errors: those of a CollectionSettings that the store would refuse;
  // kAlreadyExists: the store has a collection of this name.
  Status Host(Collection collection);
  bool Has(const std::string& name) const { return Find(name).has_value(); }
  // kNotFound: no such collection.
  Status NoteChange(const std::string& name);
  Status NoteErasure(const std::string& name);
  // Ends a Load that is under way, and refuses others, until Resume.
  void Interrupt() { interrupted_ = true; }
  void Resume() { interrupted_ = false; }

  // These collections, and for all others the examples of the device's folder. An evaluator evaluates all that it has.
  std::unique_ptr<ExampleSource> Over(ExampleSource& of_folder, bool evaluates_all);

 private:
  class Source;
  std::optional<Collection> Find(const std::string& name) const;
  // Errors: kMissingField; kShuttingDown: interrupted; kTooLarge: over kLoadBytes; those of CheckNewExample.
  Result<TaskExamples> Load(const Collection& collection, const TaskManifest& manifest) const;

  SharedStore& store_;
  mutable std::mutex mutex_;  // for collections_
  std::map<std::string, Collection> collections_;
  std::atomic<uint64_t> changes_ = 0;
  std::atomic<bool> interrupted_ = false;
};

}  // namespace tributary

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "device/agent/personal_store.h"
#include "device/learn/learner.h"
#include "protocol/base/executor.h"
#include "protocol/catalogue/blob_store.h"
#include "protocol/catalogue/publication.h"
#include "protocol/transport/loop.h"

namespace tributary {

// Keeps the personal models of a device beside its work. A fit makes them (Workshop), and they come into force with the
// note that its uploads are in the outbox. When a version arrives for which the device does not fit, its model is put on the
// new version: measured beside it on the held-out examples, and given up for the version itself if that is clearly better.
//
// On the loop's thread; measures on `work`. Everything in Parts but the blobs and the store must
// outlive the work, the keeper need not.
class PersonalKeeper {
 public:
  struct Parts {
    Loop& loop;
    PersonalStore& store;
    Learner& learner;
    ExampleSource& examples;
    Executor& work;
    const BlobStore& blobs;
    const DeviceId& device;
    // Asked on the thread of the work, a few times a second; false ends it.
    std::function<bool()> may_train = [] { return true; };
  };

  explicit PersonalKeeper(const Parts& parts) : parts_(parts) {}
  ~PersonalKeeper();

  // The fit of the version is noted as handed over.
  void OnHandedOver(const TaskId& task, ModelVersion version);
  // A start, or a fit that came to nothing: what was prepared for anything else than `version` is dropped.
  void Settle(const TaskId& task, std::optional<ModelVersion> handed_over);
  // The examples of the task were deleted: what was learned from them goes. Errors: those of the disk.
  Status Erase(const TaskId& task);
  // Puts the first model that is on another version on the published one, and calls `done`; with false when it may not now.
  // False: there is none.
  bool RebaseNext(const Publication& publication, std::function<void(bool may)> done);
  bool busy() const { return busy_; }
  bool keeps_any();

 private:
  struct Job;
  void OnRebased(const PublishedTask& task, const Result<std::optional<PersonalModel>>& rebased);
  // Nullptr when the disk does not say.
  std::map<TaskId, ModelVersion>* Known();

  Parts parts_;
  std::optional<std::map<TaskId, ModelVersion>> known_;  // as on disk; nullopt: not read
  std::map<TaskId, ModelVersion> failed_;                // rebased in vain: not tried again for the version
  bool busy_ = false;
  uint64_t erased_ = 0;  // times: a model that was read before must not be written after
  std::stop_source end_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// The model on the next version. `measured`: the version and the model on it, on held-out examples; empty without these.
PersonalModel Rebased(PersonalModel model, ModelVersion version, const std::vector<EvaluationResult>& measured);

}  // namespace tributary

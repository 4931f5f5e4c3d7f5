#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "device/agent/personal_store.h"
#include "device/agent/planner.h"
#include "device/agent/residual_store.h"
#include "device/learn/learner.h"
#include "protocol/base/executor.h"
#include "protocol/base/random.h"
#include "protocol/catalogue/blob_store.h"
#include "protocol/envelope/seal_upload.h"
#include "protocol/payload/device_state.h"
#include "protocol/transport/loop.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {

// Makes sealed uploads: fits or evaluates the model of a work order, encodes what came of it, seals and signs it. The
// work is done on `work`, which may serve many workshops; the answer comes on the loop's thread, where everything else
// is called. Everything in Parts but the stores must outlive the work; the workshop itself need not: after its end
// no answer is given.
class Workshop {
 public:
  struct Parts {
    Loop& loop;
    const Clock& clock;
    Random& random;
    const Identity& identity;
    Learner& learner;
    ExampleSource& examples;
    Executor& work;
    const BlobStore& blobs;
    const ResidualStore& residuals;
    const PersonalStore& personal;
    // Asked on the thread of the work, a few times a second; false ends it with kShuttingDown.
    std::function<bool()> may_train = [] { return true; };
  };
  // Sealed uploads in the order in which they should leave, and what the log says of them.
  struct Made {
    std::vector<std::shared_ptr<const SealedUpload>> uploads;
    uint64_t generation = 0;  // of the examples (ExampleSource)
    uint64_t examples = 0;
    double loss = 0;
    uint64_t millis = 0;
    // Of an update: whether the device's own model is better than the version, and so in use.
    std::optional<bool> uses_own = {};
    std::string measured = {};  // the loss and all evaluations, for people
  };
  using Done = std::function<void(Result<Made>)>;

  Workshop(const Parts& parts, uint32_t chunk_bytes) : parts_(parts), chunk_bytes_(chunk_bytes) {}
  ~Workshop();

  // The model's blobs must be here. A fit begins with the device's personal model, and prepares the one that it made;
  // where the disk does not take that, the former one stays. `done` is called once. When examples are deleted meanwhile,
  // the work is done again without them, before anything is sealed. `loaded` is called when the examples are there,
  // before the learner begins.
  // Errors: kShuttingDown after `stop`, or when it may not train now; those of the learner and of sealing.
  void Begin(const WorkOrder& order, const SealingTarget& target, std::stop_token stop, std::function<void()> loaded,
             Done done);
  // Whether the examples are there that the order needs. `done` is called once. Errors: those of ExampleSource::Load.
  void Look(const WorkOrder& order, std::function<void(const Status&)> done);
  // At once, and to the publication's key. Errors: those of SealUpload.
  Result<std::shared_ptr<const SealedUpload>> SealState(const DeviceState& state, const Publication& publication);

 private:
  struct Sealer;
  struct Job;
  Sealer SealerFor(const SealingTarget& target) const;

  Parts parts_;
  uint32_t chunk_bytes_;
  std::stop_source end_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tributary

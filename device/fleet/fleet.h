#pragma once

#include <memory>
#include <vector>

#include "device/agent/agent.h"
#include "device/fleet/options.h"
#include "device/torch/torch_learner.h"
#include "protocol/base/executor.h"

namespace tributary {

// Many virtual devices in one process, through the real protocol: each has its own identity, keys, connection, outbox
// and share of the examples; they share the loop, the learner, the workers and the data. Call order: Open, Run (until Stop),
// destroy.
class Fleet {
 public:
  static Result<std::unique_ptr<Fleet>> Open(const FleetOptions& options, const Clock& clock, Random& random,
                                             FileSystem& files);
  ~Fleet();

  void Run();
  // From any thread.
  void Stop() { loop_.Stop(); }
  Executor& executor() { return loop_; }

 private:
  struct Member {
    Identity identity;
    FixedExamples examples;
    std::unique_ptr<Agent> agent;
  };

  Fleet(FileLock lock, std::unique_ptr<TimeFloor> time, int fits_at_once);
  Status OpenMembers(const FleetOptions& options, Random& random, FileSystem& files);

  FileLock lock_;
  std::unique_ptr<TimeFloor> time_;
  Loop loop_;
  WorkerPool disk_{"disk", 1};
  TorchLearner learner_;
  std::vector<std::unique_ptr<Member>> members_;
  std::unique_ptr<WorkerPool> work_;  // ends first: a fit that runs uses its agent's stores
};

}  // namespace tributary

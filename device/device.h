#pragma once

#include <memory>

#include "device/agent/agent.h"
#include "device/learn/collection_examples.h"
#include "device/learn/process_learner.h"
#include "device/options.h"
#include "protocol/base/executor.h"

namespace tributary {

// One device or evaluator: its agent, its examples, its threads. Call order: Open, Run (until Stop), destroy.
class Device {
 public:
  // Everything that can be wrong with configuration, identity or data folder shows here.
  static Result<std::unique_ptr<Device>> Open(const DeviceOptions& options, const Clock& clock, Random& random,
                                              FileSystem& files);
  ~Device();

  void Run();
  // From any thread.
  void Stop() { loop_.Stop(); }
  Executor& executor() { return loop_; }

 private:
  Device(std::unique_ptr<TimeFloor> time, Identity identity, FileLock lock, CollectionExamples::Options examples,
         ProcessLearner learner);
  void SweepNowAndThen();

  std::unique_ptr<TimeFloor> time_;
  Identity identity_;
  FileLock lock_;
  CollectionExamples examples_;
  ProcessLearner learner_;
  Loop loop_;
  WorkerPool disk_{"disk", 1};
  Loop::TimerId sweep_timer_ = 0;
  std::unique_ptr<Agent> agent_;
  std::unique_ptr<WorkerPool> work_;  // ends first: a fit that runs uses the agent's stores
};

}  // namespace tributary

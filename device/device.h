#pragma once

#include <functional>
#include <memory>

#include "device/agent/agent.h"
#include "device/learn/collection_examples.h"
#include "device/learn/process_learner.h"
#include "device/options.h"
#include "protocol/base/executor.h"

namespace tributary {

// What an application adds. Each is called on the threads that Agent and ExampleSource name.
struct DeviceHooks {
  DeviceEvents::Listener on_event = {};
  std::function<bool()> may_train = {};
  // Examples of its own. Is given those of the folder, and answers with those that a fit takes, which may ask the given
  // ones; the given ones outlive it. Empty: those of the folder.
  std::function<std::unique_ptr<ExampleSource>(ExampleSource& of_folder)> examples = {};
};

// One device or evaluator: its agent, its examples, its threads. Call order: Open; then either Run (until Stop), or Start,
// RunFor again and again, and Finish; destroy. Lives in a program of its own or in any other: it installs no signal
// handler, ends no process, and several with a folder each may be in one. All on one thread, but Stop and executor().
class DeviceProcess {
 public:
  // Everything that can be wrong with configuration, identity or data folder shows here.
  static Result<std::unique_ptr<DeviceProcess>> Open(const DeviceOptions& options, const Clock& clock, Random& random,
                                                     FileSystem& files, DeviceHooks hooks = {});
  ~DeviceProcess();

  void Run();
  // Connects, and begins what there is to do.
  void Start();
  // See Loop.
  Millis RunFor(Millis budget) { return loop_.RunFor(budget); }
  void Finish();
  // From any thread.
  void Stop() { loop_.Stop(); }
  Executor& executor() { return loop_; }
  const Agent& agent() const { return *agent_; }

 private:
  DeviceProcess(std::unique_ptr<TimeFloor> time, Identity identity, FileLock lock, CollectionExamples::Options examples,
                ProcessLearner learner);
  void SweepNowAndThen();

  std::unique_ptr<TimeFloor> time_;
  Identity identity_;
  FileLock lock_;
  CollectionExamples examples_;
  std::unique_ptr<ExampleSource> own_examples_;  // of the application; null: it adds none
  ProcessLearner learner_;
  Loop loop_;
  WorkerPool disk_{"disk", 1};
  Loop::TimerId sweep_timer_ = 0;
  std::unique_ptr<Agent> agent_;
  std::unique_ptr<WorkerPool> work_;  // ends first: a fit that runs uses the agent's stores
};

}  // namespace tributary

#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "device/agent/agent.h"
#include "device/fleet/options.h"
#include "device/learn/collection_examples.h"
#include "protocol/base/executor.h"

namespace tributary {

// Many virtual devices in one process, through the real protocol: each has its own identity, keys, connection, outbox
// and examples; they share the loop, the learner, the workers and the IDX files. Call order: Open, Run (until Stop), destroy.
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
    Member(Identity of, const Clock& clock, CollectionExamples::Options options)
        : identity(std::move(of)), examples(clock, std::move(options)) {}
    Identity identity;
    CollectionExamples examples;
    std::unique_ptr<Agent> agent;
  };

  Fleet(FileLock lock, std::unique_ptr<TimeFloor> time);
  Status OpenMembers(const FleetOptions& options, Random& random, FileSystem& files);
  void SweepNowAndThen();

  FileLock lock_;
  std::unique_ptr<TimeFloor> time_;
  Loop loop_;
  WorkerPool disk_{"disk", 1};
  std::unique_ptr<Learner> learner_;
  Loop::TimerId sweep_timer_ = 0;
  std::vector<std::unique_ptr<Member>> members_;
  std::unique_ptr<WorkerPool> work_;  // ends first: a fit that runs uses its agent's stores
};

// The data folder of each device, by its id.
Result<std::map<std::string, Path>> DeviceFolders(const FleetOptions& options, WallTime now);

}  // namespace tributary

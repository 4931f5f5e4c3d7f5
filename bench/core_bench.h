#pragma once

#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "aggregator/publish/root_ceremony.h"
#include "aggregator/round/core.h"
#include "bench/claim.h"

// The surroundings of an aggregator's core, for benchmarks of it.
namespace tributary::bench {

// A line of /proc/self/status, as "VmRSS:" or "VmHWM:", in bytes.
inline double ProcessMemory(std::string_view name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name)) return std::atof(line.c_str() + name.size()) * 1024;
  }
  return 0;
}

class NoListener final : public Core::Listener {
 public:
  void OnPublication(const Bytes&, uint64_t, uint64_t) override {}
  void OnCustody(const std::vector<UploadId>&) override {}
  void OnEvent(const CoreEvent&) override {}
};

inline PublicationFolder MakeRepository(const Path& folder, WallTime now) {
  Must(RealFileSystem().CreateFolders(folder));
  const auto key = Must(CreateSignerFile(folder / "offline.pem", SecretBytes()));
  Must(CreateRepository(RealFileSystem(), folder,
                        {.root_keys = {key->public_key()},
                         .root_threshold = 1,
                         .root_signers = {key.get()},
                         .targets = key.get(),
                         .releases = key.get(),
                         .expires = now + std::chrono::hours(24)}));
  return Must(PublicationFolder::Open(RealFileSystem(), folder));
}

// A task with one tensor; the aggregator does not look into its module.
inline TaskId CreateTask(Core& core, uint64_t parameters, const RoundPolicy& policy,
                         const std::string& update_codec = "float32") {
  TaskRecord task;
  task.id = Must(TaskId::Parse("bench"));
  task.table.tensors = {{.name = "w", .shape = {static_cast<int64_t>(parameters)}, .offset = 0, .size = parameters}};
  const Bytes module(100, 1);
  task.module = {Must(core.tasks().mutable_blobs().Put(module)), module.size()};
  task.policy = policy;
  task.plan.update_codec = {update_codec};
  task.value_bound = 1;
  task.norm_bound = static_cast<double>(parameters);
  task.max_weight = 1000;
  const Digest weights = Must(core.tasks().mutable_blobs().Put(AsBytes(std::vector<float>(parameters, 0.5F))));
  return Must(core.tasks().Create(task, weights)).id;
}

}  // namespace tributary::bench

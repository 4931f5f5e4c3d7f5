#pragma once

#include <map>
#include <string>
#include <vector>

#include "aggregator/release/tasks.h"
#include "aggregator/round/rounds.h"
#include "aggregator/watch/watch.h"

namespace tributary {

// Tasks, rounds and the watch in memory: it does what the API's contract says, and there is nothing behind it. The test
// reaches into its records before the server starts, or on the core thread.
class FakeCore final : public Tasks, public Rounds, public Watch {
 public:
  explicit FakeCore(BlobStore blobs) : blobs_(std::move(blobs)) {}

  std::map<TaskId, TaskRecord> tasks;
  std::map<TaskId, std::vector<RoundRecord>> rounds;
  std::map<TaskId, std::vector<VersionRecord>> versions;
  std::vector<MemberRecord> members;
  std::vector<GatewayRecord> gateways;
  std::vector<DeviceStateRecord> reports;
  std::map<UploadKind, KindAccount> accounts;
  std::map<DeviceId, std::string> attention;

  Result<TaskRecord> Create(TaskRecord task, const Digest& initial_weights) override;
  Result<std::vector<TaskRecord>> All() override;
  Result<TaskRecord> Get(const TaskId& task) override;
  Result<std::vector<VersionRecord>> Versions(const TaskId& task) override;
  const BlobStore& blobs() const override { return blobs_; }
  BlobStore& mutable_blobs() override { return blobs_; }

  Result<RoundRecord> Start(const TaskId& task, uint64_t count) override;
  Status Cancel(const TaskId& task) override;
  Result<VersionRecord> RollBack(const TaskId& task, ModelVersion to, const std::string& reason) override;
  Result<std::vector<RoundRecord>> All(const TaskId& task) override;
  Result<RoundRecord> Get(const TaskId& task, uint64_t number) override;

  Result<std::vector<MemberRecord>> Members(std::optional<Role> role) override;
  Result<std::vector<GatewayRecord>> Gateways() override { return gateways; }
  Result<std::vector<DeviceStateRecord>> DeviceStates() override { return reports; }
  Status ForgetDeviceState(const DeviceId& device) override {
    std::erase_if(reports, [&](const DeviceStateRecord& report) { return report.device == device; });
    return {};
  }
  std::map<DeviceId, std::string> Attention() const override { return attention; }
  KindAccount Account(UploadKind kind) const override;

 private:
  BlobStore blobs_;
};

// A completed round and its record's every field set.
RoundRecord CompletedRound(const TaskId& task, uint64_t number);

}  // namespace tributary

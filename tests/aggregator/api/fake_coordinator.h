#pragma once

#include <map>
#include <string>
#include <vector>

#include "aggregator/round/coordinator.h"

namespace tributary {

// A coordinator in memory that does what the API's contract says and nothing behind it. The test reaches into its
// records before the server starts, or on the core thread.
class FakeCoordinator final : public Coordinator {
 public:
  explicit FakeCoordinator(BlobStore blobs) : blobs_(std::move(blobs)) {}

  std::map<TaskId, TaskRecord> tasks;
  std::map<TaskId, std::vector<RoundRecord>> rounds;
  std::map<TaskId, std::vector<VersionRecord>> versions;
  std::vector<MemberRecord> members;
  std::vector<GatewayRecord> gateways;
  std::vector<DeviceStateRecord> reports;
  std::map<UploadKind, AccountRecord> accounts;

  Result<TaskRecord> CreateTask(TaskRecord task, const Digest& initial_weights) override;
  Result<RoundRecord> StartRounds(const TaskId& task, uint64_t count) override;
  Status CancelRounds(const TaskId& task) override;
  Result<std::vector<TaskRecord>> Tasks() override;
  Result<TaskRecord> Task(const TaskId& task) override;
  Result<std::vector<RoundRecord>> Rounds(const TaskId& task) override;
  Result<RoundRecord> Round(const TaskId& task, uint64_t number) override;
  Result<std::vector<VersionRecord>> Versions(const TaskId& task) override;
  Result<std::vector<MemberRecord>> Members(std::optional<Role> role) override;
  Result<std::vector<GatewayRecord>> Gateways() override { return gateways; }
  Result<std::vector<DeviceStateRecord>> DeviceStates() override { return reports; }
  uint64_t OpenRounds() const override { return 0; }
  AccountRecord Account(UploadKind kind) const override;
  Status Health() const override { return {}; }
  const BlobStore& blobs() const override { return blobs_; }
  BlobStore& mutable_blobs() override { return blobs_; }
  const Bytes& publication() const override { return publication_; }
  uint64_t publication_number() const override { return 1; }
  uint64_t publication_root_version() const override { return 1; }

  // Intake is not the API's.
  Verdict Admit(const UploadHeader&) override { return Verdict::Take(); }
  Verdict Contribute(const UploadHeader&, Role, const std::function<Result<Bytes>(uint32_t)>&) override {
    return Verdict::Take();
  }
  void CountRefusal(UploadKind, const std::optional<UploadSubject>&, Code) override {}
  void SawAuthor(const Subject&, const DeviceId&) override {}
  void SawMember(const MemberRecord& member) override { members.push_back(member); }
  void SawGateways(const std::vector<GatewayState>&, const DeviceId&) override {}
  void Tick() override {}
  Status Flush() override { return {}; }

 private:
  BlobStore blobs_;
  Bytes publication_;
};

// A completed round and its record's every field set.
RoundRecord CompletedRound(const TaskId& task, uint64_t number);

}  // namespace tributary

#pragma once

#include <algorithm>
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
  std::vector<ContributionRecord> contributions;  // of every round
  std::vector<MemberResult> results;              // of every version
  std::map<TaskId, std::vector<VersionRecord>> versions;
  std::vector<MemberRecord> members;
  std::vector<GatewayRecord> gateways;
  std::vector<DeviceStateRecord> reports;
  std::map<UploadKind, KindAccount> accounts;
  std::map<DeviceId, Error> attention;
  std::map<TaskId, PrivacyStanding> privacy;
  uint64_t largest_slice = 0;  // the most items that one call was asked for

  Result<TaskRecord> Create(TaskRecord task, const Digest& initial_weights) override;
  Result<std::vector<TaskRecord>> All() override;
  Result<TaskRecord> Get(const TaskId& task) override;
  Result<std::vector<VersionRecord>> Versions(const TaskId& task, const Slice<ModelVersion>& slice) override;
  Result<VersionRecord> Version(const TaskId& task, ModelVersion version) override;
  Result<std::string> Manifest(const TaskId& task, ModelVersion version) override;
  Result<std::string> Proof(const TaskId& task, ModelVersion version, const Digest& leaf) override;
  Result<std::vector<MemberResult>> Results(const TaskId& task, ModelVersion version,
                                            const Slice<DeviceId>& slice) override;
  Result<VersionRecord> Pin(const TaskId& task, ModelVersion version, const std::string& reason) override;
  Result<Pruned> Prune(const TaskId& task, uint64_t keep, ModelVersion after) override;
  Status WhyAbsent(const Digest& blob) override;
  const BlobStore& blobs() const override { return blobs_; }
  BlobStore& mutable_blobs() override { return blobs_; }

  Result<RoundRecord> Start(const TaskId& task, uint64_t count) override;
  Status Cancel(const TaskId& task) override;
  Result<TaskRecord> Pause(const TaskId& task, const std::string& reason) override;
  Result<TaskRecord> Resume(const TaskId& task) override { return Pause(task, ""); }
  Result<TaskRecord> SetSettings(const TaskId& task, const RoundSettings& settings) override;
  Result<RoundRecord> AskAgain(const TaskId& task, const std::optional<DeviceId>& device) override;
  Result<VersionRecord> RollBack(const TaskId& task, ModelVersion to, const std::string& reason) override;
  Result<std::vector<RoundRecord>> List(const TaskId& task, const Slice<uint64_t>& slice) override;
  Result<std::vector<ContributionRecord>> Contributions(const TaskId& task, uint64_t number,
                                                        const Slice<DeviceId>& slice) override;
  Result<RoundRecord> Get(const TaskId& task, uint64_t number) override;
  Result<PrivacyStanding> Privacy(const TaskId& task) override;

  Result<std::vector<MemberRecord>> Devices(const Slice<DeviceId>& slice) override;
  std::optional<MemberRecord> FindDevice(const DeviceId& id) const override;
  Result<std::vector<GatewayRecord>> Gateways(const Slice<DeviceId>& slice) override;
  Result<GatewayRecord> FindGateway(const DeviceId& id) override;
  Result<std::vector<DeviceStateRecord>> DeviceStates(const Slice<DeviceId>& slice) override;
  Result<std::optional<DeviceStateRecord>> FindDeviceState(const DeviceId& device) override;
  Status ForgetDeviceState(const DeviceId& device) override {
    std::erase_if(reports, [&](const DeviceStateRecord& report) { return report.device == device; });
    return {};
  }
  std::map<DeviceId, Error> Attention(const Slice<DeviceId>& slice) const override;
  std::optional<Error> AttentionTo(const DeviceId& device) const override;
  KindAccount Account(UploadKind kind) const override;

 private:
  // Those of `all` that are in the slice, in order.
  template <class Record, class Key, class KeyOf>
  std::vector<Record> Part(std::vector<Record> all, const Slice<Key>& slice, KeyOf key_of) {
    largest_slice = std::max(largest_slice, slice.most);
    std::erase_if(all, [&](const Record& record) { return key_of(record) <= slice.after; });
    std::ranges::sort(all, {}, key_of);
    if (all.size() > slice.most) all.resize(slice.most);
    return all;
  }

  BlobStore blobs_;
};

// A completed round and its record's every field set.
RoundRecord CompletedRound(const TaskId& task, uint64_t number);

}  // namespace tributary

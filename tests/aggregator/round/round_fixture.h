#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "aggregator/round/core.h"
#include "protocol/base/limits.h"
#include "protocol/envelope/seal_upload.h"
#include "protocol/payload/evaluation.h"
#include "tests/support/manual_clock.h"
#include "tests/support/seeded_random.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary {

inline constexpr uint64_t kTestParameters = 300;

// For tests that compare codes: kBusy is "it is in the sum", kDuplicate is "it is counted already".
Status StatusOf(const Verdict& verdict);

// The events of the core, in order.
class RecordingListener final : public Core::Listener {
 public:
  void OnPublication(const Bytes& publication, uint64_t number, uint64_t root_version) override;
  void OnCustody(const std::vector<UploadId>& uploads) override;
  void OnEvent(const CoreEvent& event) override;
  uint64_t CountOf(const std::string& event) const;

  std::vector<uint64_t> publications;
  std::map<UploadId, int> custody;  // how often each was taken over
  std::vector<CoreEvent> events;
};

// Counts what is written below checkpoints/, and fails every call that changes something once `calls_left` is used up:
// a disk that is gone, or full. Reading goes on.
class FaultyFiles final : public FileSystem {
 public:
  Result<std::unique_ptr<WritableFile>> OpenForWrite(const Path& path) override;
  Result<Bytes> ReadAt(const Path& path, uint64_t offset, size_t size) override;
  Result<uint64_t> Size(const Path& path) override;
  Status Rename(const Path& from, const Path& to) override;
  Status Remove(const Path& path) override;
  Status SyncFolder(const Path& folder) override;
  Status CreateFolders(const Path& folder) override;
  Result<std::vector<std::string>> List(const Path& folder) override;
  Result<DiskSpace> Space(const Path&) override { return DiskSpace{free_bytes, 1ull << 40}; }
  uint64_t free_bytes = 1ull << 39;

  // One more change. When none is left: `on_exhausted` if set (it may end the process), else `failure`.
  Status Change();
  Code failure = Code::kDiskFull;
  int64_t calls_left = -1;  // -1: any number
  int64_t changes = 0;
  void (*on_exhausted)() = nullptr;
  uint64_t checkpoint_bytes = 0;
};

// One aggregator's core on a folder of its own, and sealed uploads of a small fleet for it.
class RoundFixture {
 public:
  RoundFixture() : RoundFixture(kClosed) { Reopen(); }
  // The core is opened later, perhaps in a child process.
  enum Closed { kClosed };
  explicit RoundFixture(Closed);

  // Opens the core (again): what was only in memory before is gone, as after a crash.
  void Reopen();
  // The same, when it may not open.
  Status TryReopen();
  Core& core() { return *core_; }
  Result<std::unique_ptr<Core>> TryOpen();
  void Close() { core_.reset(); }
  // A task of kTestParameters values with this policy.
  TaskRecord NewTask(RoundPolicy policy, std::string_view name = "digits");
  TaskRecord CreateTask(RoundPolicy policy, std::string_view name = "digits");
  Digest PutInitialWeights();

  struct UpdateOptions {
    uint64_t weight = 10;
    uint64_t seed = 0;  // of the values; 0: the device's number
    uint64_t parameters = kTestParameters;
    Codec codec = Codec::kFloat32Dense;
    uint64_t upload = 0;  // 0: follows from device and base
    float poison = 0;     // replaces the 7th value unless 0
    float scale = 0.01F;
  };
  SealedUpload Update(int device, ModelVersion base, const UpdateOptions& options);
  // The plaintext that Update seals.
  Bytes Plaintext(int device, ModelVersion base, const UpdateOptions& options);
  SealedUpload Update(int device, ModelVersion base) { return Update(device, base, UpdateOptions{}); }
  SealedUpload Evaluation(const std::string& member, ModelVersion version,
                          const std::vector<EvaluationResult>& results);
  SealedUpload State(std::string_view device, ByteView plaintext);
  SealedUpload State(std::string_view device, const DeviceState& state) {
    return State(device, EncodeDeviceState(state));
  }
  // An error of the code kBusy stands for "it is in the sum", and kDuplicate for "it is counted already".
  Status Give(const SealedUpload& upload, Role role = Role::kDevice);
  Status Admit(const UploadHeader& header);
  // The code of a refusal; kMalformed stands for success nowhere, so success dies.
  Code CodeOf(const Status& status);
  void Pass(Millis by);
  Digest LatestDigest();
  RoundRecord LastRound();
  // Dies unless the accounts hold.
  void CheckAccounts();

  TemporaryFolder folder;
  ManualClock clock;
  SeededRandom random{1};
  TestFleet fleet;
  TemporaryFolder repository_folder;
  PublicationFolder repository;
  SigningKey device_key;
  FaultyFiles files;
  FileSystem* disk = nullptr;     // instead of `files`
  std::optional<Path> elsewhere;  // instead of `folder`
  RetentionPolicy retention = {};
  uint64_t staged_updates = 0;  // what the staging spool would say
  std::vector<EnrolledMember> enrolled;
  uint64_t enrolled_reads = 0;  // slices of it
  RecordingListener listener;
  TaskId task_id;

 private:
  std::vector<EnrolledMember> EnrolledIn(const Slice<DeviceId>& slice);

  std::unique_ptr<Core> core_;
};

}  // namespace tributary

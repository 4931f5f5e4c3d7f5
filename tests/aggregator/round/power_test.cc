#include <cmath>

#include <gtest/gtest.h>

#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/must.h"
#include "tests/support/power_disk.h"

namespace tributary::power_test {
namespace {

constexpr int kDevices = 4;
constexpr uint64_t kRounds = 2;
constexpr uint64_t kNever = ~uint64_t{0};

// Keys that outlive every core, and the uploads that all of them are offered.
struct Fleet {
  Fleet() {
    for (uint64_t version = 1; version <= kRounds; ++version) {
      for (int device = 1; device <= kDevices; ++device) uploads.push_back(site.Update(device, ModelVersion{version}));
    }
  }
  RoundFixture site;
  std::vector<SealedUpload> uploads;  // by version, then device
};

// When custody of each upload was acknowledged: the number of the disk's operations by then.
using Custody = std::map<UploadId, uint64_t>;

// A core on a power disk, and senders who delete an upload when they are told of its custody.
class PoweredRounds final : public Core::Listener {
 public:
  PoweredRounds(Fleet& fleet, PowerDisk& disk, Path folder, Custody acknowledged = {})
      : custody(std::move(acknowledged)), fleet_(fleet), disk_(disk), folder_(std::move(folder)) {}

  Status Open() {
    core_.reset();
    ASSIGN_OR_RETURN(core_, Core::Open({.folder = folder_,
                                        .files = disk_,
                                        .clock = clock_,
                                        .repository = fleet_.site.repository,
                                        .sealing_key = fleet_.site.fleet.sealing_key()},
                                       *this));
    return {};
  }
  Core& core() { return *core_; }

  void StartTwoRounds() {
    std::vector<float> weights(kTestParameters);
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = std::sin(static_cast<float>(i));
    const Digest initial = Must(core_->tasks().mutable_blobs().Put(AsBytes(std::span<const float>(weights))));
    TaskRecord task = fleet_.site.NewTask({.report_goal = kDevices});
    Must(core_->tasks().mutable_blobs().Put(Bytes(100, 0x5a)));
    Must(core_->tasks().Create(task, initial));
    Must(core_->rounds().Start(task.id, kRounds));
  }

  // Every sender that still has its upload offers it; what passes is offered again later.
  void OfferAll() {
    for (size_t i = 0; i < fleet_.uploads.size(); ++i) {
      const SealedUpload& upload = fleet_.uploads[i];
      if (i % kDevices == 0) {
        Pass();
        // Nobody has made an update for a version that is not there yet.
        if (VersionDigests().size() <= i / kDevices) return;
      }
      if (custody.contains(upload.header.subject.id)) continue;
      if (auto admitted = StatusOf(core_->judge().Admit(upload.header)); !admitted) {
        Refused(upload, admitted.error());
        continue;
      }
      auto counted = StatusOf(core_->judge().Contribute(
          upload.header, Role::kDevice, [&](uint32_t index) -> Result<Bytes> { return upload.chunks.at(index); }));
      if (!counted) Refused(upload, counted.error());
    }
    Pass();
  }
  void Pass() {
    clock_.Advance(Millis(2000));
    core_->Tick();
  }

  std::vector<Digest> VersionDigests() {
    std::vector<Digest> digests;
    for (const auto& version : Must(core_->tasks().Versions(fleet_.site.task_id)))
      digests.push_back(version.weights.digest);
    return digests;
  }
  uint64_t Delivered() const { return core_->fleet().Account(UploadKind::kUpdate).delivered; }
  bool Balances() const { return core_->fleet().Account(UploadKind::kUpdate).Balances(); }

  Custody custody;
  std::vector<Error> refusals;  // for now; a refusal for good dies

 private:
  void OnPublication(const Bytes&, uint64_t, uint64_t) override {}
  void OnCustody(const std::vector<UploadId>& uploads) override {
    for (const UploadId& id : uploads) custody.emplace(id, disk_.operations());
  }
  void OnEvent(const CoreEvent&) override {}

  void Refused(const SealedUpload& upload, const Error& error) {
    if (error.code == Code::kDuplicate) {
      custody.emplace(upload.header.subject.id, disk_.operations());
    } else {
      EXPECT_TRUE(IsTransient(error.code)) << error.ToString();
      refusals.push_back(error);
    }
  }

  Fleet& fleet_;
  PowerDisk& disk_;
  const Path folder_;
  ManualClock clock_;
  std::unique_ptr<Core> core_;
};

// Two rounds without trouble, every operation of their disk recorded.
struct Undisturbed {
  Undisturbed() {
    PoweredRounds rounds(fleet, disk, folder.path());
    Must(rounds.Open());
    rounds.StartTwoRounds();
    begin = disk.operations();
    rounds.OfferAll();
    EXPECT_TRUE(rounds.refusals.empty()) << rounds.refusals.front().ToString();
    end = disk.operations();
    custody = rounds.custody;
    digests = rounds.VersionDigests();
    EXPECT_EQ(digests.size(), kRounds + 1);
    EXPECT_EQ(custody.size(), kRounds * kDevices);
  }
  Fleet fleet;
  TemporaryFolder folder;
  PowerDisk disk{folder.path()};
  uint64_t begin = 0;  // operations before the first upload
  uint64_t end = 0;
  Custody custody;
  std::vector<Digest> digests;
};

void ExpectTheSameBits(PoweredRounds& rounds, const Undisturbed& undisturbed) {
  EXPECT_EQ(rounds.VersionDigests(), undisturbed.digests);
  EXPECT_EQ(rounds.Delivered(), kRounds * kDevices);
  EXPECT_EQ(rounds.custody.size(), kRounds * kDevices);
  EXPECT_TRUE(rounds.Balances());
}

TEST(RoundPower, EveryCutEndsInTheSameBits) {
  Undisturbed undisturbed;
  constexpr uint64_t kCuts = 600;
  const uint64_t points = undisturbed.end + 1 - undisturbed.begin;
  RecordProperty("points", static_cast<int>(points));
  for (uint64_t cut = 0; cut < kCuts && !HasFailure(); ++cut) {
    const uint64_t point = undisturbed.begin + cut * points / kCuts;
    const uint64_t seed = cut % 4 < 2 ? cut % 4 : 1'000 + cut;
    SCOPED_TRACE("cut after operation " + std::to_string(point) + ", seed " + std::to_string(seed));
    const TemporaryFolder folder;
    undisturbed.disk.PowerCut(point, seed, folder.path());
    PowerDisk disk(folder.path());
    Custody acknowledged = undisturbed.custody;
    std::erase_if(acknowledged, [&](const auto& entry) { return entry.second > point; });
    PoweredRounds rounds(undisturbed.fleet, disk, folder.path(), acknowledged);
    const Status opened = rounds.Open();
    ASSERT_TRUE(opened) << opened.error().ToString();
    EXPECT_TRUE(rounds.Balances());
    EXPECT_GE(rounds.Delivered(), acknowledged.size());
    rounds.OfferAll();
    rounds.OfferAll();
    ExpectTheSameBits(rounds, undisturbed);
  }
}

struct Trouble {
  DiskFault fault;
  Code code;
  const char* name;
};
constexpr Trouble kTroubles[] = {{DiskFault::kFull, Code::kDiskFull, "full"},
                                 {DiskFault::kIo, Code::kIo, "broken"},
                                 {DiskFault::kReadOnly, Code::kReadOnly, "read-only"}};

void FailAndGoOn(Undisturbed& undisturbed, const Trouble& trouble, uint64_t at, bool once) {
  SCOPED_TRACE(std::string(trouble.name) + (once ? " once" : "") + " after " + std::to_string(at) + " changes");
  const TemporaryFolder folder;
  PowerDisk disk(folder.path());
  PoweredRounds rounds(undisturbed.fleet, disk, folder.path());
  Must(rounds.Open());
  rounds.StartTwoRounds();
  disk.FailAfter(at, trouble.fault, once ? 1 : kNever);
  rounds.OfferAll();
  for (const Error& error : rounds.refusals) {
    // A round that is being closed, or an upload that waits for its checkpoint, passes as well.
    const bool waits = error.code == Code::kBusy || error.code == Code::kRoundClosed;
    EXPECT_TRUE(waits || error.code == trouble.code) << error.ToString();
  }
  EXPECT_TRUE(rounds.Balances());
  disk.Free();
  for (int time = 0; time < 3; ++time) rounds.OfferAll();
  ExpectTheSameBits(rounds, undisturbed);
  EXPECT_TRUE(rounds.core().Health());

  // An upload that was acknowledged in trouble is as durable as the rest.
  const TemporaryFolder cut;
  disk.PowerCut(disk.operations(), 0, cut.path());
  PowerDisk after(cut.path());
  PoweredRounds again(undisturbed.fleet, after, cut.path(), rounds.custody);
  Must(again.Open());
  ExpectTheSameBits(again, undisturbed);
}

TEST(RoundPower, AFullBrokenOrReadOnlyDiskDelaysAndEndsInTheSameBits) {
  Undisturbed undisturbed;
  const uint64_t changes = undisturbed.end - undisturbed.begin;
  constexpr uint64_t kEach = 60;
  for (const Trouble& trouble : kTroubles) {
    for (uint64_t i = 0; i < kEach && !HasFailure(); ++i)
      FailAndGoOn(undisturbed, trouble, i * changes / kEach, i % 3 == 0);
  }
}

}  // namespace
}  // namespace tributary::power_test

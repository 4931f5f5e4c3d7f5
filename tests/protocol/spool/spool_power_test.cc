#include <algorithm>
#include <optional>

#include "protocol/spool/spool.h"
#include "tests/protocol/spool/spool_fixture.h"
#include "tests/support/must.h"
#include "tests/support/power_disk.h"
#include "tests/support/sanitized.h"

namespace tributary::spool_power_test {
namespace {

constexpr uint64_t kNever = ~uint64_t{0};

// The end of an upload once the spool has custody of it.
enum class Plan { kStay, kDeliver, kDrop, kGoStale };

struct Story {
  TestUpload upload;
  Plan plan = Plan::kStay;
  // The number of the disk's operations when the spool had said so, or had been asked.
  uint64_t custody = kNever;
  uint64_t asked_away = kNever;
  uint64_t away = kNever;
};

TestUpload Planned(uint64_t seed, size_t size, Plan plan, UploadKind kind = UploadKind::kUpdate) {
  TestUpload upload = MakeUpload(seed, size, kind);
  if (plan == Plan::kGoStale) upload.header.subject.base_version = ModelVersion{2};
  return upload;
}

std::vector<Story> Stories() {
  std::vector<Story> stories;
  constexpr Plan kPlans[] = {Plan::kDeliver, Plan::kStay, Plan::kGoStale, Plan::kDrop};
  for (uint64_t i = 0; i < 12; ++i) {
    const Plan plan = kPlans[i % std::size(kPlans)];
    const UploadKind kind = i % 5 == 4 ? UploadKind::kEvaluation : UploadKind::kUpdate;
    stories.push_back({Planned(500 + i, i % 3 == 1 ? kSmall : kLarge + 1'000 * i,
                               kind == UploadKind::kUpdate ? plan : Plan::kStay, kind),
                       kind == UploadKind::kUpdate ? plan : Plan::kStay});
  }
  return stories;
}

// A spool on a power disk, and the senders of some uploads, who all talk at once: each answers what it is told as soon
// as it is told, so that one flush's barrier comes between another's chunks.
class PoweredSpool {
 public:
  PoweredSpool(PowerDisk& disk, const Path& folder, SpoolMode mode, std::vector<Story>& stories)
      : disk_(disk), stories_(stories), options_{.folder = folder, .mode = mode, .inline_limit = 10'000} {}

  Status Open() {
    spool.reset();
    ASSIGN_OR_RETURN(spool, Spool::Open(options_, disk_, clock_, worker_));
    return {};
  }

  // Sends those uploads, and does with each what its plan says.
  void Send(size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) Offer(stories_[i]);
    worker_.Run();
    EXPECT_TRUE(spool->Account().Balances());
  }
  void SendAll() {
    const size_t first = std::min<size_t>(5, stories_.size());
    Send(0, first);
    Send(first, stories_.size());
    DropStale();
  }

  // Goes on with the uploads that have custody and a plan, as after a start, or once the disk works again.
  void GoOn() {
    spool->Probe([](const Status&) {});  // as its owner does every second
    worker_.Run();
    for (Story& story : stories_) {
      if (Has(story.upload.id())) FollowPlan(story);
    }
    worker_.Run();
    SendAll();
  }
  bool Has(const UploadId& id) const {
    return std::ranges::any_of(Must(spool->Pending(1'000)), [&](const auto& each) { return each.id == id; });
  }
  Bytes ReadAll(const TestUpload& upload) const {
    Bytes all;
    for (uint32_t chunk = 0; chunk < upload.header.subject.chunk_count; ++chunk)
      Append(all, Must(spool->ReadChunk(upload.id(), chunk)));
    return all;
  }

  std::unique_ptr<Spool> spool;
  std::vector<Error> errors;  // that the senders were told

 private:
  void Failed(const Error& error) { errors.push_back(error); }

  void Offer(Story& story) {
    spool->Offer(story.upload.header, story.upload.envelope, [this, &story](Result<OfferAnswer> answer) {
      // It is a dead letter already.
      if (!answer && story.plan == Plan::kDrop && answer.error().code == Code::kSealBroken) return;
      if (!answer) return Failed(answer.error());
      if (!answer->already) return SendFrom(story, answer->next_chunk);
      story.custody = std::min(story.custody, disk_.operations());
    });
  }

  void SendFrom(Story& story, uint32_t chunk) {
    // Staged uploads that are complete wait for their custody.
    if (chunk == story.upload.header.subject.chunk_count) return Complete(story);
    spool->Append(story.upload.id(), chunk, story.upload.Chunk(chunk), [this, &story](Result<AppendAnswer> answer) {
      // The stored part did not survive: offer again.
      if (!answer && answer.error().code == Code::kBusy) return Offer(story);
      if (!answer) return Failed(answer.error());
      if (!answer->complete) return SendFrom(story, answer->next_chunk);
      Complete(story);
    });
  }

  void Complete(Story& story) {
    story.custody = std::min(story.custody, disk_.operations());
    FollowPlan(story);
  }

  void FollowPlan(Story& story) {
    const auto gone = [this, &story](const Status& status) {
      if (!status) return Failed(status.error());
      story.away = disk_.operations();
    };
    if (story.plan == Plan::kDeliver || story.plan == Plan::kDrop) story.asked_away = disk_.operations();
    if (story.plan == Plan::kDeliver) spool->Delivered(story.upload.id(), gone);
    if (story.plan == Plan::kDrop) spool->Drop(story.upload.id(), Code::kSealBroken, gone);
  }

  void DropStale() {
    const uint64_t asked = disk_.operations();
    spool->DropStale(*TaskId::Parse("digits"), {ModelVersion{3}}, [this, asked](Result<uint64_t> dropped) {
      for (Story& story : stories_) {
        if (story.plan != Plan::kGoStale) continue;
        story.asked_away = std::min(story.asked_away, asked);
        if (dropped) story.away = disk_.operations();
      }
      if (!dropped) Failed(dropped.error());
    });
    worker_.Run();
  }

  PowerDisk& disk_;
  std::vector<Story>& stories_;
  SpoolOptions options_;
  const ManualClock clock_;
  QueueExecutor worker_;
};

uint64_t CountOf(const std::vector<Story>& stories, Plan plan) {
  return static_cast<uint64_t>(std::ranges::count(stories, plan, &Story::plan));
}

// Everybody has sent everything: what stays is here, whole, and the rest is counted once.
void ExpectTheEnd(const PoweredSpool& spool, const std::vector<Story>& stories) {
  SpoolAccount account = spool.spool->Account();
  EXPECT_TRUE(account.Balances());
  EXPECT_EQ(account.Delivered(), CountOf(stories, Plan::kDeliver));
  EXPECT_EQ(account.Spooled(), CountOf(stories, Plan::kStay));
  const KindAccount& updates = account.of(UploadKind::kUpdate);
  EXPECT_EQ(updates.in_flight, 0u);
  EXPECT_EQ(updates.dropped.contains(Code::kSealBroken) ? updates.dropped.at(Code::kSealBroken) : 0,
            CountOf(stories, Plan::kDrop));
  EXPECT_FALSE(updates.dropped.contains(Code::kCorrupt)) << "nothing in custody was damaged";
  for (const Story& story : stories) {
    ASSERT_EQ(spool.Has(story.upload.id()), story.plan == Plan::kStay);
    if (story.plan != Plan::kStay) continue;
    EXPECT_EQ(Sha256(spool.ReadAll(story.upload)), story.upload.header.ciphertext_digest);
  }
}

// Every upload whose custody was acknowledged is there, whole; what was passed on or dropped does not come back.
void ExpectNothingLost(const PoweredSpool& spool, const std::vector<Story>& stories, uint64_t point) {
  EXPECT_TRUE(spool.spool->Account().Balances());
  uint64_t gone = 0;
  for (const Story& story : stories) {
    const UploadId& id = story.upload.id();
    gone += story.plan == Plan::kDeliver && story.away <= point ? 1 : 0;
    ASSERT_FALSE(story.away <= point && spool.Has(id)) << "it was delivered or dropped";
    if (story.custody > point || story.asked_away < point) continue;
    ASSERT_TRUE(spool.Has(id)) << "custody at " << story.custody;
    ASSERT_EQ(Sha256(spool.ReadAll(story.upload)), story.upload.header.ciphertext_digest);
    ASSERT_EQ(Must(spool.spool->ReadEnvelope(id)), story.upload.envelope);
  }
  EXPECT_GE(spool.spool->Account().Delivered(), gone);
}

// The workload on a disk, every operation of it recorded.
struct Recording {
  explicit Recording(SpoolMode mode) {
    PoweredSpool spool(disk, folder / "spool", mode, stories);
    Must(spool.Open());
    opened = disk.operations();
    spool.SendAll();
    EXPECT_TRUE(spool.errors.empty()) << spool.errors.front().ToString();
    ExpectTheEnd(spool, stories);
    end = disk.operations();
    spool.spool.reset();
  }
  TemporaryFolder folder;
  PowerDisk disk{folder.path()};
  std::vector<Story> stories = Stories();
  uint64_t opened = 0;
  uint64_t end = 0;
};

// Every point, or a sample of so many; at each of them what nobody synced is lost (or all kept), and is lost in part.
constexpr uint64_t kPoints = kSanitized ? 60 : 300;  // which sanitizers make ten times as long

template <class Check>
void ForEachCut(const Recording& recording, Check check) {
  const uint64_t points = recording.disk.operations() + 1;
  SeededRandom random(points);
  for (uint64_t cut = 0; cut < 2 * std::min(points, kPoints); ++cut) {
    const uint64_t point = points <= kPoints ? cut / 2 : random.Below(points);
    const uint64_t seed = cut % 2 == 0 ? cut / 2 % 2 : 1'000 + cut;
    SCOPED_TRACE("cut after operation " + std::to_string(point) + " of " + std::to_string(points) + ", seed " +
                 std::to_string(seed));
    const TemporaryFolder folder;
    recording.disk.PowerCut(point, seed, folder.path());
    PowerDisk disk(folder.path());
    std::vector<Story> stories = Stories();
    for (size_t i = 0; i < stories.size(); ++i) {
      stories[i].custody = recording.stories[i].custody;
      stories[i].asked_away = recording.stories[i].asked_away;
      stories[i].away = recording.stories[i].away;
    }
    check(disk, folder / "spool", stories, point);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(SpoolPower, NothingInCustodyIsLostWhereverThePowerFails) {
  const Recording recording(SpoolMode::kDurable);
  RecordProperty("operations", static_cast<int>(recording.end));
  ForEachCut(recording, [](PowerDisk& disk, const Path& folder, std::vector<Story>& stories, uint64_t point) {
    PoweredSpool spool(disk, folder, SpoolMode::kDurable, stories);
    const Status opened = spool.Open();
    ASSERT_TRUE(opened) << opened.error().ToString();
    ExpectNothingLost(spool, stories, point);
    spool.GoOn();
    ExpectTheEnd(spool, stories);
  });
}

// Staged uploads are not in custody: their senders keep them until the checkpoint and offer them again.
TEST(SpoolPower, StagingForgetsAtWorstAndNeverHandsOutWhatIsDamaged) {
  const Recording recording(SpoolMode::kStaging);
  ForEachCut(recording, [](PowerDisk& disk, const Path& folder, std::vector<Story>& stories, uint64_t) {
    PoweredSpool spool(disk, folder, SpoolMode::kStaging, stories);
    const Status opened = spool.Open();
    ASSERT_TRUE(opened) << opened.error().ToString();
    EXPECT_TRUE(spool.spool->Account().Balances());
    for (const Story& story : stories) {
      if (!spool.Has(story.upload.id())) continue;
      EXPECT_EQ(Sha256(spool.ReadAll(story.upload)), story.upload.header.ciphertext_digest);
    }
    spool.GoOn();
    ExpectTheEnd(spool, stories);
  });
}

struct Trouble {
  DiskFault fault;
  Code code;
  const char* name;
};
constexpr Trouble kTroubles[] = {{DiskFault::kFull, Code::kDiskFull, "full"},
                                 {DiskFault::kIo, Code::kIo, "broken"},
                                 {DiskFault::kReadOnly, Code::kReadOnly, "read-only"}};

// At this change the disk begins to fail, once or until it is freed.
void FailAndGoOn(const Trouble& trouble, uint64_t at, bool once, std::vector<Story> stories = Stories()) {
  SCOPED_TRACE(std::string(trouble.name) + (once ? " once" : "") + " after " + std::to_string(at) + " changes");
  const TemporaryFolder folder;
  PowerDisk disk(folder.path());
  PoweredSpool spool(disk, folder / "spool", SpoolMode::kDurable, stories);
  disk.FailAfter(at, trouble.fault, once ? 1 : kNever);
  const Status opened = spool.Open();
  if (opened) {
    spool.SendAll();
    ExpectNothingLost(spool, stories, disk.operations());
  } else {
    spool.errors.push_back(opened.error());
  }
  for (const Error& error : spool.errors) EXPECT_EQ(error.code, trouble.code) << error.message;
  EXPECT_TRUE(once || disk.failed() == 0 || !spool.errors.empty());
  disk.Free();
  spool.errors.clear();
  if (!opened) Must(spool.Open());
  spool.GoOn();
  EXPECT_TRUE(spool.errors.empty()) << spool.errors.front().ToString();
  ExpectTheEnd(spool, stories);

  // A promise made in trouble is as durable as any other.
  const TemporaryFolder cut;
  disk.PowerCut(disk.operations(), 0, cut.path());
  PowerDisk after(cut.path());
  PoweredSpool again(after, cut / "spool", SpoolMode::kDurable, stories);
  Must(again.Open());
  ExpectNothingLost(again, stories, disk.operations());
}

TEST(SpoolPower, AFullBrokenOrReadOnlyDiskIsSaidAndTheSpoolGoesOnAfterwards) {
  const Recording undisturbed(SpoolMode::kDurable);
  // The first half of the changes has one of each sort, and every third of them is enough for each trouble.
  const uint64_t until = undisturbed.opened + (undisturbed.end - undisturbed.opened) / 2;
  for (size_t i = 0; i < std::size(kTroubles); ++i) {
    for (uint64_t at = i; at < until; at += 3) {
      FailAndGoOn(kTroubles[i], at, at % 4 == 0);
      if (HasFailure()) return;
    }
  }
}

// When neither its file can be removed nor its row be set back, the spool itself remembers what a failed sync may have
// lost.
TEST(SpoolPower, AFailedSyncIsRememberedWhenNothingCanBeWrittenDown) {
  for (uint64_t at = 70; at < 150 && !HasFailure(); ++at)
    FailAndGoOn(kTroubles[1], at, false, {{Planned(1, kLarge, Plan::kStay), Plan::kStay}});
}

}  // namespace
}  // namespace tributary::spool_power_test

#include <ostream>

#include <gtest/gtest.h>

#include "tests/aggregator/enrol/enrol_story.h"
#include "tests/support/sanitized.h"

// The disk below enrolment.db loses its power, fills up, breaks or turns read-only, at every operation of a story in
// which members come and go.
namespace tributary::enrol_power_test {
namespace {

Code CodeOf(const Status& status) { return status ? Code{} : status.error().code; }

// The story without trouble, every operation of its disk recorded.
struct Undisturbed {
  Undisturbed() {
    EnrolStory story(site, disk, folder.path());
    Must(story.Open());
    opened = disk.operations();
    for (const EnrolStory::Step& step : story.Steps()) Must(story.Take(step));
    story.CheckTheEnd();
    end = disk.operations();
    memory = story.memory;
  }
  EnrolFixture site;
  TemporaryFolder folder;
  PowerDisk disk{folder.path()};
  uint64_t opened = 0;  // operations before the first step
  uint64_t end = 0;
  EnrolMemory memory;
};

TEST(EnrolPower, EveryCutKeepsWhatWasToldAndEndsTheSame) {
  Undisturbed undisturbed;
  RecordProperty("points", static_cast<int>(undisturbed.end));
  for (uint64_t point = 0; point <= undisturbed.end && !testing::Test::HasFailure(); ++point) {
    // Of what was not synced: nothing, all of it, or what chance leaves.
    const uint64_t seed = point % 3 < 2 ? point % 3 : 1'000 + point;
    SCOPED_TRACE("cut after operation " + std::to_string(point) + ", seed " + std::to_string(seed));
    const TemporaryFolder folder;
    undisturbed.disk.PowerCut(point, seed, folder.path());
    PowerDisk disk(folder.path());
    EnrolStory story(undisturbed.site, disk, folder.path(), undisturbed.memory);
    const Status opened = story.Open();
    ASSERT_TRUE(opened) << opened.error().ToString();
    story.CheckNothingIsHalfDone();
    story.CheckWhatWasTold(point);
    for (const EnrolStory::Step& step : story.Steps()) {
      const Status taken = story.Take(step);
      ASSERT_TRUE(taken) << step.name << ": " << taken.error().ToString();
    }
    story.CheckTheEnd();
  }
}

struct Trouble {
  DiskFault fault;
  Code code;
  const char* name;
};
void PrintTo(const Trouble& trouble, std::ostream* out) { *out << trouble.name; }
constexpr Trouble kTroubles[] = {{DiskFault::kFull, Code::kDiskFull, "full"},
                                 {DiskFault::kIo, Code::kIo, "broken"},
                                 {DiskFault::kReadOnly, Code::kReadOnly, "readonly"}};

class EnrolDisk : public testing::TestWithParam<Trouble> {
 protected:
  // The disk fails for good after `at` changes, and works again once that was seen. Whether it was.
  bool FailAndGoOn(EnrolFixture& site, uint64_t at) {
    const TemporaryFolder folder;
    PowerDisk disk(folder.path());
    EnrolStory story(site, disk, folder.path());
    Must(story.Open());
    disk.FailAfter(at, GetParam().fault);
    bool failed = false;
    for (const EnrolStory::Step& step : story.Steps()) {
      Status taken = story.Take(step);
      if (!taken) {
        failed = true;
        CheckTrouble(story, taken.error());
        disk.Free();
        site.clock.Advance(Millis(1'000));
        story.enrolment().Tick();
        EXPECT_TRUE(story.enrolment().Health()) << "by itself";
        taken = story.Take(step);
      }
      EXPECT_TRUE(taken) << step.name << ": " << taken.error().ToString();
    }
    disk.Free();
    story.CheckTheEnd();
    // Answers that were given in trouble and after it are as durable as the rest.
    const TemporaryFolder cut;
    disk.PowerCut(disk.operations(), 0, cut.path());
    PowerDisk after(cut.path());
    EnrolStory again(site, after, cut.path(), story.memory);
    Must(again.Open());
    again.CheckTheEnd();
    return failed;
  }

  void CheckTrouble(EnrolStory& story, const Error& error) {
    // Applicants are told to ask again, operators why it cannot be.
    EXPECT_TRUE(error.code == GetParam().code || error.code == Code::kBusy) << error.ToString();
    const Status health = story.enrolment().Health();
    ASSERT_FALSE(health);
    EXPECT_EQ(health.error().code, GetParam().code) << health.error().ToString();
    for (int second = 0; second < 2; ++second) {
      story.CheckNothingIsHalfDone();
      story.CheckWhatWasTold(~uint64_t{0});
      story.enrolment().Tick();
      EXPECT_FALSE(story.enrolment().Health()) << "until a write has succeeded";
    }
  }
};

TEST_P(EnrolDisk, TroubleAtAnyOperationGrantsNothingAndPasses) {
  EnrolFixture site;
  uint64_t at = 0;
  constexpr uint64_t kStride = kSanitized ? 5 : 1;
  while (FailAndGoOn(site, at) && !HasFailure()) at += kStride;
  EXPECT_GT(at, 40u) << "the story has at least so many operations";
}

TEST_P(EnrolDisk, WhoIsKnownIsServedFromAStartInTrouble) {
  Undisturbed undisturbed;
  const TemporaryFolder folder;
  undisturbed.disk.PowerCut(undisturbed.end, 0, folder.path());
  PowerDisk disk(folder.path());
  disk.FailAfter(0, GetParam().fault);
  EnrolStory story(undisturbed.site, disk, folder.path(), undisturbed.memory);
  if (const Status opened = story.Open(); !opened) {
    EXPECT_EQ(opened.error().code, GetParam().code) << opened.error().ToString();
    EXPECT_NE(GetParam().fault, DiskFault::kFull) << "a full disk stops no start";
    disk.Free();
    Must(story.Open());
  }
  story.CheckWhatWasTold(~uint64_t{0});
  disk.Free();
  undisturbed.site.clock.Advance(Millis(1'000));
  story.enrolment().Tick();
  story.CheckTheEnd();
}

// One failed write a second, however many ask.
TEST_P(EnrolDisk, ApplicantsDoNotKeepASickDiskBusy) {
  EnrolFixture site;
  const TemporaryFolder folder;
  PowerDisk disk(folder.path());
  EnrolStory story(site, disk, folder.path());
  Must(story.Open());
  const std::vector<EnrolStory::Step> steps = story.Steps();
  for (int i = 0; i < 3; ++i) Must(story.Take(steps[i]));
  disk.FailAfter(0, GetParam().fault);
  EXPECT_EQ(CodeOf(steps[3].take()), Code::kBusy);
  const uint64_t failed = disk.failed();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(CodeOf(steps[3].take()), Code::kBusy);
  EXPECT_EQ(disk.failed(), failed);
  site.clock.Advance(Millis(1'000));
  EXPECT_EQ(CodeOf(steps[3].take()), Code::kBusy);
  EXPECT_GT(disk.failed(), failed);
  disk.Free();
  site.clock.Advance(Millis(1'000));
  Must(story.Take(steps[3]));
  EXPECT_TRUE(story.enrolment().Health());
}

INSTANTIATE_TEST_SUITE_P(Troubles, EnrolDisk, testing::ValuesIn(kTroubles),
                         [](const auto& trouble) { return std::string(trouble.param.name); });

}  // namespace
}  // namespace tributary::enrol_power_test

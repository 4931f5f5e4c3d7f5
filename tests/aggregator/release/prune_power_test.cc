#include <gtest/gtest.h>

#include "tests/aggregator/release/prune_fixture.h"
#include "tests/support/power_disk.h"

namespace tributary::prune_power_test {
namespace {

// The disk's operations while the past of a task is forgotten, which is then cut at any of them.
TEST(PrunePower, ACutLeavesNoRowWithoutItsBlobAndNoBlobWithoutARow) {
  PruneFixture fixture;
  fixture.MakeFormer();
  const WallTime before = fixture.clock.Now();
  PowerDisk disk(fixture.folder.path());
  fixture.disk = &disk;
  fixture.Forget();
  fixture.CheckTheEnd();
  fixture.Close();
  const uint64_t points = disk.operations();
  EXPECT_GT(points, 100u);
  constexpr uint64_t kCuts = 60;
  for (uint64_t cut = 0; cut < kCuts && !testing::Test::HasFailure(); ++cut) {
    const uint64_t point = cut * points / kCuts;
    const uint64_t seed = cut % 4 < 2 ? cut % 4 : 1'000 + cut;
    SCOPED_TRACE("cut after operation " + std::to_string(point) + ", seed " + std::to_string(seed));
    const TemporaryFolder folder;
    disk.PowerCut(point, seed, folder.path());
    PowerDisk after(folder.path());
    fixture.disk = &after;
    fixture.elsewhere = folder.path();
    fixture.clock.SetWall(before);
    fixture.Forget();
    fixture.CheckTheEnd();
    fixture.Close();
  }
  fixture.disk = nullptr;
}

}  // namespace
}  // namespace tributary::prune_power_test

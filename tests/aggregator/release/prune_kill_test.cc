#include <csignal>
#include <fstream>

#include <gtest/gtest.h>

#include "tests/aggregator/release/prune_fixture.h"
#include "tests/support/in_child.h"

// A SIGKILL at every pass of every named point of forgetting, and at every change of the disk. A second process goes on, as
// after a restart, and must end where an undisturbed one ends: no row names a blob that is gone, and none is left over.
namespace tributary::prune_kill_test {
namespace {

const std::vector<std::string> kPoints = {
    "aggregator.prune.before_commit",         "aggregator.prune.committed",
    "aggregator.prune.blob_removed",          "aggregator.prune.taken_off",
    "aggregator.fold.before_commit",          "aggregator.fold.committed",
    "aggregator.forget_rounds.before_commit", "aggregator.forget_versions.before_commit",
};
class PruneKillTest : public testing::Test {
 protected:
  PruneKillTest() {
    EXPECT_EQ(InChild(nullptr, "", [&] { fixture_.MakeFormer(); }), 0);
    Copy(fixture_.folder.path(), former_.path());
  }
  static void Copy(const Path& from, const Path& to) {
    for (const auto& entry : std::filesystem::directory_iterator(to)) std::filesystem::remove_all(entry);
    std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
  }
  // A child begins with the former folder, or goes on with what another left.
  int Run(bool anew, const char* name, const std::string& value) {
    if (anew) Copy(former_.path(), fixture_.folder.path());
    return InChild(name, value, [&] {
      fixture_.Forget();
      fixture_.CheckTheEnd();
    });
  }
  PruneFixture fixture_;  // closed here: children use it
  TemporaryFolder former_;
};

TEST_F(PruneKillTest, AKillAtEveryPointLeavesNoRowWithoutItsBlobAndNoBlobWithoutARow) {
  TemporaryFolder notes;
  ASSERT_EQ(Run(true, "TRIBUTARY_FAULT_TRACE", (notes / "trace").string()), 0);
  std::map<std::string, int> passes;
  std::ifstream trace(notes / "trace");
  for (std::string line; std::getline(trace, line);) ++passes[line];
  for (const std::string& point : kPoints) {
    const int count = passes[point];
    EXPECT_GT(count, 0) << point << " is never passed";
    for (const int pass : std::set<int>{1, (count + 1) / 2, count}) {
      const std::string where = point + ":" + std::to_string(pass);
      ASSERT_EQ(Run(true, "TRIBUTARY_FAULT", where), SIGKILL) << where;
      ASSERT_EQ(Run(false, nullptr, ""), 0) << where;
    }
  }
}

}  // namespace
}  // namespace tributary::prune_kill_test

#include "gateway/accept/key_ends.h"

#include <gtest/gtest.h>

#include "tests/support/manual_clock.h"
#include "tests/support/temporary_folder.h"

namespace tributary::key_ends_test {
namespace {

KeyId Key(uint8_t byte) { return KeyId({byte, byte, byte, byte, byte, byte, byte, byte}); }
constexpr Millis kDay{24 * 3600 * 1000};

class KeyEndsTest : public ::testing::Test {
 protected:
  KeyEnds Load() { return KeyEnds::Load(RealFileSystem(), file_); }
  static Publication Naming(std::vector<FormerSealingKey> former) {
    Publication publication;
    publication.former_keys = std::move(former);
    return publication;
  }
  TemporaryFolder folder_;
  Path file_ = folder_ / "key-ends";
};

TEST_F(KeyEndsTest, AKeyIsOverAtItsEndAndStaysSoWhenNobodyNamesItAnyMore) {
  KeyEnds ends = Load();
  ends.Note(Naming({{Key(1), kTestStart + kDay}, {Key(2), kTestStart + 2 * kDay}}));
  EXPECT_FALSE(ends.IsOver(Key(1), kTestStart));
  EXPECT_TRUE(ends.IsOver(Key(1), kTestStart + kDay));
  ends.Note(Naming({}));
  const KeyEnds again = Load();  // over a restart too
  EXPECT_EQ(again.Over(kTestStart + kDay), std::vector<KeyId>{Key(1)});
  EXPECT_EQ(again.Over(kTestStart + 2 * kDay), (std::vector<KeyId>{Key(1), Key(2)}));
  // One that no publication has named may be newer than all that this gateway knows.
  EXPECT_FALSE(again.IsOver(Key(3), kTestStart + 100 * kDay));
}

TEST_F(KeyEndsTest, TheNewestWordOnAKeyHolds) {
  KeyEnds ends = Load();
  ends.Note(Naming({{Key(1), kTestStart + kDay}}));
  ends.Note(Naming({{Key(1), kTestStart + 3 * kDay}}));
  EXPECT_FALSE(Load().IsOver(Key(1), kTestStart + 2 * kDay));
}

TEST_F(KeyEndsTest, MemoryAndFileAreBounded) {
  KeyEnds ends = Load();
  for (int i = 0; i < 200; ++i) ends.Note(Naming({{Key(static_cast<uint8_t>(i)), kTestStart + i * kDay}}));
  EXPECT_EQ(Load().Over(kTestStart + 1'000 * kDay).size(), KeyEnds::kMost);
  EXPECT_TRUE(Load().IsOver(Key(199), kTestStart + 1'000 * kDay));
}

TEST_F(KeyEndsTest, DamagedLinesAreLeftOut) {
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), file_, AsBytes("rubbish\n" + Key(1).hex() + " 5\n12 7\n")));
  EXPECT_EQ(Load().Over(kTestStart), std::vector<KeyId>{Key(1)});
}

}  // namespace
}  // namespace tributary::key_ends_test

#include "aggregator/enrol/sealing_keys.h"

#include <sys/stat.h>

#include <fstream>

#include <gtest/gtest.h>

#include "tests/support/manual_clock.h"
#include "tests/support/must.h"
#include "tests/support/power_disk.h"
#include "tests/support/temporary_folder.h"

namespace tributary::sealing_keys_test {
namespace {

constexpr Millis kHour = std::chrono::hours(1);

class SealingKeysTest : public testing::Test {
 protected:
  SealingKeys Open() { return Must(SealingKeys::Open(RealFileSystem(), folder_.path(), now_)); }
  KeyId CurrentId(const SealingKeys& keys) { return HpkeKeyId(keys.current().public_key); }

  TemporaryFolder folder_;
  WallTime now_ = kTestStart;
};

TEST_F(SealingKeysTest, TheFirstKeyIsMadeOnce) {
  const KeyId id = CurrentId(Open());
  const SealingKeys again = Open();
  EXPECT_EQ(CurrentId(again), id);
  EXPECT_NE(again.Find(id, now_), nullptr);
  EXPECT_TRUE(again.Former(now_).empty());
}

TEST_F(SealingKeysTest, AFormerKeyOpensUntilItsEnd) {
  SealingKeys keys = Open();
  const KeyId first = CurrentId(keys);
  Must(keys.Rotate(now_, 2 * kHour));
  const KeyId second = CurrentId(keys);
  EXPECT_NE(first, second);
  const SealingKeys again = Open();
  for (const SealingKeys* which : {&std::as_const(keys), &again}) {
    const SealingKeys& seen = *which;
    EXPECT_EQ(CurrentId(seen), second);
    ASSERT_NE(seen.Find(first, now_ + (2 * kHour - Millis(1))), nullptr);
    EXPECT_EQ(seen.Find(first, now_ + 2 * kHour), nullptr);
    EXPECT_NE(seen.Find(second, now_ + 1000 * kHour), nullptr);
    EXPECT_EQ(seen.Former(now_), (std::vector<FormerSealingKey>{{first, now_ + 2 * kHour}}));
    EXPECT_TRUE(seen.Former(now_ + 2 * kHour).empty());
  }
}

TEST_F(SealingKeysTest, EndedKeysAreWiped) {
  SealingKeys keys = Open();
  const KeyId first = CurrentId(keys);
  Must(keys.Rotate(now_, kHour));
  Must(keys.Rotate(now_, 3 * kHour));
  EXPECT_EQ(Must(keys.DropEnded(now_)), 0u);
  EXPECT_EQ(Must(keys.DropEnded(now_ + kHour)), 1u);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "sealing" / (first.hex() + ".key")));
  EXPECT_EQ(keys.Find(first, now_), nullptr);
  EXPECT_EQ(Open().Former(now_).size(), 1u);
}

TEST_F(SealingKeysTest, TheKeyOfAnOlderFolderIsTakenOver) {
  const HpkeKeyPair pair = GenerateHpkeKeyPair();
  std::ofstream(folder_ / "sealing.key") << ToHex(pair.secret.RevealForUse()) << "\n";
  chmod((folder_ / "sealing.key").c_str(), 0600);
  EXPECT_EQ(Open().current().public_key, pair.public_key);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "sealing.key"));
  EXPECT_EQ(Open().current().public_key, pair.public_key);
}

TEST_F(SealingKeysTest, WrongModesAndDamageAreNamed) {
  const KeyId id = CurrentId(Open());
  const Path file = folder_ / "sealing" / (id.hex() + ".key");
  const auto code = [&] { return SealingKeys::Open(RealFileSystem(), folder_.path(), now_).error().code; };
  chmod(file.c_str(), 0644);
  EXPECT_EQ(code(), Code::kPermissions);
  chmod(file.c_str(), 0600);
  std::ofstream(file) << "zz\n";
  EXPECT_EQ(code(), Code::kCorrupt);
  std::ofstream(file) << std::string(64, '1') << "\n";
  EXPECT_EQ(code(), Code::kCorrupt) << "another key than its name says";
  std::filesystem::remove(file);
  EXPECT_EQ(code(), Code::kMissingData);
  std::ofstream(folder_ / "sealing/index.json") << "{}";
  EXPECT_EQ(code(), Code::kCorrupt);
}

TEST_F(SealingKeysTest, FilesAreForTheirOwnerOnly) {
  const KeyId id = CurrentId(Open());
  struct stat status {};
  ASSERT_EQ(stat((folder_ / "sealing" / (id.hex() + ".key")).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

// Whenever the power goes, the next start finds the former current key, or it as former and the new one.
TEST(SealingKeysPower, ARotationIsAllOrNothing) {
  const TemporaryFolder temporary;
  const Path folder = temporary / "disk";
  std::filesystem::create_directories(folder);
  const WallTime now = kTestStart;
  const KeyId first = HpkeKeyId(Must(SealingKeys::Open(RealFileSystem(), folder, now)).current().public_key);
  PowerDisk disk(folder);
  SealingKeys keys = Must(SealingKeys::Open(disk, folder, now));
  const uint64_t begun = disk.operations();
  Must(keys.Rotate(now, kHour));
  const KeyId second = HpkeKeyId(keys.current().public_key);
  bool saw_old = false, saw_new = false;
  for (uint64_t point = begun; point <= disk.operations(); ++point) {
    for (const uint64_t seed : {0, 1, 5}) {
      const TemporaryFolder after;
      const Path cut = after / "disk";
      std::filesystem::create_directories(cut);
      disk.PowerCut(point, seed, cut);
      for (const auto& entry : std::filesystem::directory_iterator(cut / "sealing")) {
        chmod(entry.path().c_str(), 0600);  // modes are not what a power cut is about
      }
      const auto found = SealingKeys::Open(RealFileSystem(), cut, now);
      ASSERT_TRUE(found) << "point " << point << " seed " << seed << ": " << found.error().ToString();
      ASSERT_NE(found->Find(first, now), nullptr) << "point " << point << " seed " << seed;
      const KeyId current = HpkeKeyId(found->current().public_key);
      EXPECT_TRUE(current == first || current == second);
      saw_old |= current == first;
      saw_new |= current == second;
      EXPECT_TRUE(current == second || point < disk.operations()) << "durable on return";
    }
  }
  EXPECT_TRUE(saw_old && saw_new);
}

}  // namespace
}  // namespace tributary::sealing_keys_test

#include "protocol/member/server_keys.h"

#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

namespace tributary::server_keys_test {
namespace {

const Bytes kConfigured(32, 1), kSecond(32, 2), kThird(32, 3), kFourth(32, 4);

class ServerKeysTest : public ::testing::Test {
 protected:
  ServerKeys Load() { return ServerKeys::Load(RealFileSystem(), file_, kConfigured); }
  TemporaryFolder folder_;
  Path file_ = folder_ / "server-keys";
};

TEST_F(ServerKeysTest, TheConfiguredOneIsNothingNew) {
  EXPECT_EQ(Load().learned(), std::vector<Bytes>{});
  ServerKeys keys = Load();
  ASSERT_TRUE(keys.Learn(kConfigured));
  EXPECT_EQ(keys.learned(), std::vector<Bytes>{});
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(ServerKeysTest, WhatWasAnnouncedComesFirstAndSurvivesARestart) {
  ASSERT_TRUE(Load().Learn(kSecond));
  EXPECT_EQ(Load().learned(), (std::vector<Bytes>{kSecond}));
  ServerKeys keys = Load();
  ASSERT_TRUE(keys.Learn(kSecond));
  ASSERT_TRUE(keys.Learn(kThird));
  EXPECT_EQ(Load().learned(), (std::vector<Bytes>{kThird, kSecond}));
  ASSERT_TRUE(keys.Learn(kFourth));
  EXPECT_EQ(Load().learned(), (std::vector<Bytes>{kFourth, kThird}));
}

TEST_F(ServerKeysTest, ADamagedFileLeavesTheConfiguredOne) {
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), file_, AsBytes("rubbish\n" + ToHex(kSecond) + "\n")));
  EXPECT_EQ(Load().learned(), (std::vector<Bytes>{kSecond}));
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), file_, Bytes(5'000)));
  ServerKeys keys = Load();
  EXPECT_EQ(keys.learned(), std::vector<Bytes>{});
  ASSERT_TRUE(keys.Learn(kThird));
  EXPECT_EQ(Load().learned(), (std::vector<Bytes>{kThird}));
}

}  // namespace
}  // namespace tributary::server_keys_test

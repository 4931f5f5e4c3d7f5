#include "tests/protocol/trust/tuf/tuf_fixture.h"

namespace tributary::root_rotation_test {
namespace {

class RootRotationTest : public TufTest {
 protected:
  // The next root names another root key, signed by the old and the new one.
  void RotateRootKey() {
    const Forge::KeyPtr old = std::exchange(forge_.root_key, Forge::NewKey());
    forge_.SetKey(tuf::kRootRole, forge_.root_key);
    forge_.NextRoot({old.get(), forge_.root_key.get()});
  }
  void RotateOnlineKeys() {
    forge_.timestamp_key = Forge::NewKey();
    forge_.snapshot_key = Forge::NewKey();
    forge_.SetKey(tuf::kTimestampRole, forge_.timestamp_key);
    forge_.SetKey(tuf::kSnapshotRole, forge_.snapshot_key);
    forge_.NextRoot({forge_.root_key.get()});
  }
};

TEST_F(RootRotationTest, SeveralStepsAreGoneOneByOne) {
  ASSERT_EQ(Taken(forge_.Set(1)), "ok");
  for (int step = 0; step < 3; ++step) RotateRootKey();
  EXPECT_EQ(Taken(forge_.Set(2)), "ok");
  EXPECT_EQ(store_->root_version(), 4u);
  Restart();
  EXPECT_EQ(store_->root_version(), 4u);
  RotateRootKey();
  EXPECT_EQ(Taken(forge_.Set(3)), "ok");
  EXPECT_EQ(store_->root_version(), 5u);
}

TEST_F(RootRotationTest, AStepThatIsMissingLeadsNowhere) {
  RotateRootKey();
  RotateRootKey();
  PublicationSet set = forge_.Set(1);
  set.roots.erase(set.roots.begin() + 1);
  EXPECT_EQ(Opened(set), "mixed-publication");
  std::swap(set.roots[0], set.roots[1]);
  EXPECT_EQ(Opened(set), "mixed-publication");
}

TEST_F(RootRotationTest, RootsThatAMemberIsPastNeedNotCome) {
  RotateRootKey();
  ASSERT_EQ(Taken(forge_.Set(1)), "ok");
  RotateRootKey();
  PublicationSet set = forge_.Set(2);
  set.roots.erase(set.roots.begin(), set.roots.begin() + 2);
  EXPECT_EQ(Taken(set), "ok");
  EXPECT_EQ(store_->root_version(), 3u);
  Restart();
  EXPECT_FALSE(store_->damage()) << "it is read again from the root that this member came to";
  EXPECT_EQ(store_->number(), 2u);
}

TEST_F(RootRotationTest, ANextRootNeedsTheOldAndTheNewKeys) {
  const Forge::KeyPtr old = forge_.root_key, next = Forge::NewKey();
  for (const Signer* only : {old.get(), next.get()}) {
    Forge forge = forge_;
    forge.SetKey(tuf::kRootRole, next);
    forge.NextRoot({only});
    EXPECT_EQ(Opened(forge.Set(1)), "bad-signature");
  }
}

TEST_F(RootRotationTest, AStolenOldKeyIsWorthNothingAfterTheRotation) {
  const Forge::KeyPtr stolen = forge_.root_key;
  RotateRootKey();
  ASSERT_EQ(Taken(forge_.Set(1)), "ok");
  Forge thief = forge_;
  thief.targets_key = thief.timestamp_key = thief.snapshot_key = stolen;
  for (const auto role : {tuf::kRootRole, tuf::kTargetsRole, tuf::kTimestampRole, tuf::kSnapshotRole}) {
    thief.SetKey(role, stolen);
  }
  thief.NextRoot({stolen.get()});
  EXPECT_EQ(Taken(thief.Set(2)), "bad-signature");
  // Nor does another root of the version that is known already lead anybody astray.
  thief.root.version = 1;
  thief.roots.resize(1);
  thief.NextRoot({stolen.get()});
  EXPECT_EQ(Taken(thief.Set(3)), "bad-signature");
  EXPECT_EQ(Taken(forge_.Set(2)), "ok");
}

TEST_F(RootRotationTest, OneKeyOfAThresholdOfTwoIsNotEnoughHoweverOftenItSigns) {
  const Forge::KeyPtr second = Forge::NewKey();
  tuf::RoleKeys& role = forge_.root.roles["root"];
  tuf::AddKey(second->public_key(), forge_.root.keys, role);
  role.threshold = 2;
  forge_.NextRoot({forge_.root_key.get(), second.get()});
  ASSERT_EQ(Taken(forge_.Set(1)), "ok");

  ++forge_.root.version;
  auto next = tuf::MakeMetadata(forge_.root);
  ASSERT_TRUE(tuf::AddSignature(next, *second));
  forge_.roots.push_back(tuf::EncodeMetadata(next));
  EXPECT_EQ(Taken(forge_.Set(2)), "bad-signature");
  auto twice = next;
  twice.signatures.push_back(next.signatures[0]);
  forge_.roots.back() = tuf::EncodeMetadata(twice);
  EXPECT_EQ(Taken(forge_.Set(2)), "malformed");
  ASSERT_TRUE(tuf::AddSignature(next, *forge_.root_key));
  forge_.roots.back() = tuf::EncodeMetadata(next);
  EXPECT_EQ(Taken(forge_.Set(2)), "ok");
}

TEST_F(RootRotationTest, OnlyTheLastRootMustNotHaveExpired) {
  const WallTime ends = forge_.root.expires;
  forge_.root.expires = kTestStart + Millis(-1'000);
  forge_.NextRoot({forge_.root_key.get()});
  EXPECT_EQ(Opened(forge_.Set(1)), "expired");
  forge_.root.expires = ends;
  forge_.NextRoot({forge_.root_key.get()});
  EXPECT_EQ(Opened(forge_.Set(1)), "ok");
}

// ---- fast-forward

TEST_F(RootRotationTest, AFleetRecoversFromVersionsThatAThiefDroveUp) {
  ASSERT_EQ(Taken(forge_.Set(1)), "ok");
  constexpr uint64_t kHigh = uint64_t{1} << 52;
  ASSERT_EQ(Taken(forge_.Set(kHigh)), "ok") << "the thief has all online keys";
  EXPECT_EQ(Taken(forge_.Set(3)), "rollback");
  RotateRootKey();
  EXPECT_EQ(Taken(forge_.Set(3)), "rollback") << "a new root alone says nothing of the online keys";
  RotateOnlineKeys();
  EXPECT_EQ(Taken(forge_.Set(3)), "ok");
  EXPECT_EQ(store_->number(), 3u);
  EXPECT_EQ(store_->root_version(), 3u);
  Restart();
  EXPECT_EQ(store_->number(), 3u);
  EXPECT_EQ(Taken(forge_.Set(2)), "rollback");
  EXPECT_EQ(Taken(forge_.Set(4)), "ok");
}

TEST_F(RootRotationTest, RecoveryIsNotLostWhenTheRestOfThePublicationFails) {
  ASSERT_EQ(Taken(forge_.Set(1'000)), "ok");
  RotateOnlineKeys();
  PublicationSet half = forge_.Set(3);
  half.timestamp.pop_back();
  EXPECT_EQ(Taken(half), "malformed");
  Restart();
  EXPECT_EQ(store_->number(), 1'000u) << "the present one is served until the next is whole";
  EXPECT_EQ(Taken(forge_.Set(3)), "ok");
}

TEST_F(RootRotationTest, RecoveryGoesOnAfterARestartBeforeTheBlobsWereHere) {
  ASSERT_EQ(Taken(forge_.Set(1'000)), "ok");
  RotateOnlineKeys();
  const auto seen = store_->Verify(forge_.Published(3), kTestStart);
  ASSERT_TRUE(seen);
  EXPECT_TRUE(store_->IsNewer(*seen));
  Restart();
  EXPECT_EQ(Taken(forge_.Set(3)), "ok");
}

TEST_F(RootRotationTest, AddingAKeyForgetsNothingAndTakingItAwayDoes) {
  ASSERT_EQ(Taken(forge_.Set(9)), "ok");
  const Forge::KeyPtr second = Forge::NewKey();
  tuf::AddKey(second->public_key(), forge_.root.keys, forge_.root.roles["timestamp"]);
  forge_.NextRoot({forge_.root_key.get()});
  EXPECT_EQ(Taken(forge_.Set(8)), "rollback");
  forge_.timestamp_key = second;
  forge_.SetKey(tuf::kTimestampRole, second);
  forge_.NextRoot({forge_.root_key.get()});
  EXPECT_EQ(Taken(forge_.Set(8)), "ok");
}

// Its id may still stand in the role: without the key nobody can sign by it.
TEST_F(RootRotationTest, AKeyThatOnlyItsIdIsLeftOfIsTakenAwayToo) {
  ASSERT_EQ(Taken(forge_.Set(9)), "ok");
  const Forge::KeyPtr old = std::exchange(forge_.timestamp_key, Forge::NewKey());
  tuf::AddKey(forge_.timestamp_key->public_key(), forge_.root.keys, forge_.root.roles["timestamp"]);
  forge_.root.keys.erase(tuf::KeyIdOf(tuf::Key::FromPublicKey(old->public_key())));
  forge_.NextRoot({forge_.root_key.get()});
  EXPECT_EQ(Taken(forge_.Set(8)), "ok");
}

// ---- what is believed, in its file

TEST_F(RootRotationTest, WithoutItsFileWhatWasAdoptedIsStillBelieved) {
  ASSERT_EQ(Taken(forge_.Set(5)), "ok");
  ASSERT_TRUE(RealFileSystem().Remove(folder_ / "publication.trusted"));
  Restart();
  EXPECT_FALSE(store_->damage());
  EXPECT_EQ(Taken(forge_.Set(4)), "rollback");
}

TEST_F(RootRotationTest, ADamagedFileIsSaidSo) {
  ASSERT_EQ(Taken(forge_.Set(5)), "ok");
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), folder_ / "publication.trusted", Bytes(64, 1)));
  Restart();
  ASSERT_TRUE(store_->damage());
  EXPECT_EQ(store_->damage()->code, Code::kCorrupt);
  EXPECT_EQ(store_->number(), 5u);
  EXPECT_EQ(Taken(forge_.Set(4)), "rollback");
  EXPECT_EQ(Taken(forge_.Set(6)), "ok");
  Restart();
  EXPECT_FALSE(store_->damage());
}

TEST_F(RootRotationTest, AMemberThatWasGivenAnotherRootBeginsThere) {
  ASSERT_EQ(Taken(forge_.Set(5)), "ok");
  forge_ = Forge();
  Restart();
  EXPECT_TRUE(store_->damage()) << "the old fleet's publication";
  EXPECT_EQ(Taken(forge_.Set(1)), "ok");
}

}  // namespace
}  // namespace tributary::root_rotation_test

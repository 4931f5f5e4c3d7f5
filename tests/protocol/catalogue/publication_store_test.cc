#include "protocol/catalogue/publication_store.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "protocol/trust/identity/identity.h"
#include "tests/protocol/catalogue/small_publication.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"

namespace tributary::publication_store_test {
namespace {

class PublicationStoreTest : public testing::Test {
 protected:
  PublicationStore Open() const {
    auto store = PublicationStore::Open(RealFileSystem(), file_, fleet_.anchor());
    TRIBUTARY_CHECK(store.has_value()) << store.error().ToString();
    return std::move(*store);
  }
  Bytes Numbered(uint64_t number) const { return fleet_.Publish(SmallPublication(number)); }

  const TemporaryFolder folder_;
  const Path file_ = folder_ / "publication";
  const TestFleet fleet_;
};

TEST_F(PublicationStoreTest, StartsEmpty) {
  const PublicationStore store = Open();
  EXPECT_EQ(store.number(), 0u);
  EXPECT_FALSE(store.current());
  EXPECT_FALSE(store.damage());
}

TEST_F(PublicationStoreTest, TakesNewerOnesAndKeepsThemOverARestart) {
  PublicationStore store = Open();
  EXPECT_TRUE(store.Take(Numbered(1), kTestStart).value());
  EXPECT_TRUE(store.Take(Numbered(5), kTestStart).value());
  EXPECT_FALSE(store.Take(Numbered(5), kTestStart).value());
  const PublicationStore again = Open();
  EXPECT_EQ(again.number(), 5u);
  EXPECT_EQ(again.current_bytes(), Numbered(5));
  EXPECT_EQ(*again.current(), SmallPublication(5));
}

TEST_F(PublicationStoreTest, NeverGoesBack) {
  PublicationStore store = Open();
  ASSERT_TRUE(store.Take(Numbered(5), kTestStart));
  EXPECT_EQ(Outcome(store.Take(Numbered(4), kTestStart)), "rollback");
  PublicationStore again = Open();
  EXPECT_EQ(Outcome(again.Take(Numbered(4), kTestStart)), "rollback");
  EXPECT_EQ(again.number(), 5u);
}

TEST_F(PublicationStoreTest, OneNumberHasOneContent) {
  PublicationStore store = Open();
  ASSERT_TRUE(store.Take(Numbered(5), kTestStart));
  Publication other = SmallPublication(5);
  other.tasks.clear();
  EXPECT_EQ(Outcome(store.Take(fleet_.Publish(other), kTestStart)), "rollback");
}

TEST_F(PublicationStoreTest, RefusalsChangeNothing) {
  PublicationStore store = Open();
  ASSERT_TRUE(store.Take(Numbered(5), kTestStart));
  const TestFleet other;
  EXPECT_EQ(Outcome(store.Take(other.Publish(SmallPublication(6)), kTestStart)), "bad-signature");
  EXPECT_EQ(Outcome(store.Take(Numbered(6), SmallPublication().expires)), "expired");
  EXPECT_EQ(Outcome(store.Take(Bytes(16), kTestStart)), "malformed");
  EXPECT_EQ(store.number(), 5u);
  EXPECT_EQ(Open().number(), 5u);
}

TEST_F(PublicationStoreTest, WhatWasKeptIsServedAfterItExpired) {
  PublicationStore store = Open();
  ASSERT_TRUE(store.Take(Numbered(5), kTestStart));
  EXPECT_FALSE(store.expired(kTestStart));
  for (const WallTime later : {SmallPublication().expires, kTestStart + 2 * kTestLifetime}) {
    const PublicationStore again = Open();
    EXPECT_EQ(again.number(), 5u);
    EXPECT_TRUE(again.expired(later));
  }
}

TEST_F(PublicationStoreTest, ADamagedFileIsSetAsideAndSaidSo) {
  PublicationStore store = Open();
  ASSERT_TRUE(store.Take(Numbered(5), kTestStart));
  Bytes bent = Numbered(5);
  bent[bent.size() / 2] ^= 1;
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), file_, bent));
  PublicationStore again = Open();
  EXPECT_EQ(again.number(), 0u);
  ASSERT_TRUE(again.damage());
  EXPECT_EQ(again.damage()->code, Code::kCorrupt);
  EXPECT_EQ(ReadFile(RealFileSystem(), folder_ / "publication.bad", 1 << 20).value(), bent);
  EXPECT_TRUE(again.Take(Numbered(5), kTestStart).value());
  EXPECT_FALSE(Open().damage());
}

TEST_F(PublicationStoreTest, WhatLiesInAFolderThatChangesHandsIsNotBelieved) {
  PublicationStore own = Open();
  ASSERT_TRUE(own.Take(Numbered(5), kTestStart).value());
  ASSERT_TRUE(RealFileSystem().Remove(file_));
  const auto carried = [&] {
    auto store = PublicationStore::OpenCarried(RealFileSystem(), file_, fleet_.anchor());
    TRIBUTARY_CHECK(store.has_value()) << store.error().ToString();
    return std::move(*store);
  };
  EXPECT_TRUE(carried().Take(Numbered(3), kTestStart).value()) << "publication.trusted may be anybody's";
  EXPECT_EQ(carried().number(), 3u);
  EXPECT_FALSE(carried().Take(Numbered(2), kTestStart).value());
  EXPECT_EQ(Outcome(carried().Take(TestFleet().Publish(SmallPublication(9)), kTestStart)), "bad-signature");
  ASSERT_TRUE(RealFileSystem().Remove(folder_ / "publication.trusted"));
  EXPECT_TRUE(carried().Take(Numbered(4), kTestStart).value());
  EXPECT_EQ(RealFileSystem().List(folder_.path()).value(), std::vector<std::string>{"publication"});
}

// ---- revocation lists outlive the publication that brought them

class RevokedTest : public PublicationStoreTest {
 protected:
  // Publication `number` with the CA's list of that number, which revokes `members`.
  Bytes WithList(uint64_t number, uint64_t list, const std::vector<const Identity*>& members) {
    std::set<std::string> serials;
    for (const Identity* member : members) serials.insert(SerialNumber({member->chain.front()}));
    const Bytes crl = Must(SignRevocations(fleet_.authority(), list, serials, kTestStart, kTestLifetime));
    Publication publication = SmallPublication(number);
    publication.revocations = RevocationsToPem({}, crl);
    return fleet_.Publish(publication);
  }
  // The belief of a process that has just started.
  Code StandingAfterARestart(const Identity& member) {
    const TrustAnchor anchor =
        Must(TrustAnchor::FromCertificate(fleet_.authority().root(), fleet_.anchor().publication_root()));
    const PublicationStore store = Must(PublicationStore::Open(RealFileSystem(), file_, anchor));
    damage_ = store.damage();
    const auto verified = anchor.Verify(member.chain, kTestStart);
    return verified ? Code{} : verified.error().code;
  }

  const Path list_file_ = file_.string() + ".revoked";
  const Identity thief_ = fleet_.Issue(Role::kDevice, "thief");
  const Identity other_ = fleet_.Issue(Role::kDevice, "other");
  std::optional<Error> damage_;
};

TEST_F(RevokedTest, APublicationWithoutTheListUnrevokesNobody) {
  PublicationStore store = Open();
  ASSERT_TRUE(store.Take(WithList(1, 1, {&thief_}), kTestStart));
  ASSERT_TRUE(store.Take(Numbered(2), kTestStart));
  ASSERT_TRUE(store.Take(Numbered(3), kTestStart));
  EXPECT_EQ(StandingAfterARestart(thief_), Code::kRevokedCertificate);
  EXPECT_EQ(StandingAfterARestart(other_), Code{});
}

TEST_F(RevokedTest, NorDoesOneWithAnOlderList) {
  PublicationStore store = Open();
  ASSERT_TRUE(store.Take(WithList(1, 5, {&thief_}), kTestStart));
  ASSERT_TRUE(store.Take(WithList(2, 4, {}), kTestStart));
  EXPECT_EQ(StandingAfterARestart(thief_), Code::kRevokedCertificate);
}

TEST_F(RevokedTest, ANewerListTakesItsPlace) {
  PublicationStore store = Open();
  ASSERT_TRUE(store.Take(WithList(1, 1, {&thief_}), kTestStart));
  ASSERT_TRUE(store.Take(WithList(2, 2, {&thief_, &other_}), kTestStart));
  ASSERT_TRUE(store.Take(Numbered(3), kTestStart));
  EXPECT_EQ(StandingAfterARestart(thief_), Code::kRevokedCertificate);
  EXPECT_EQ(StandingAfterARestart(other_), Code::kRevokedCertificate);
}

TEST_F(RevokedTest, ADamagedListIsSaidAndTheNextOneReplacesIt) {
  PublicationStore store = Open();
  ASSERT_TRUE(store.Take(WithList(1, 1, {&thief_}), kTestStart));
  Must(WriteFileAtomically(RealFileSystem(), list_file_, AsBytes("not a list")));
  EXPECT_EQ(StandingAfterARestart(thief_), Code::kRevokedCertificate) << "the publication has it too";
  ASSERT_TRUE(damage_);
  EXPECT_NE(damage_->message.find("who was revoked"), std::string::npos);
  PublicationStore again = Open();
  ASSERT_TRUE(again.Take(WithList(2, 2, {&thief_}), kTestStart));
  ASSERT_TRUE(again.Take(Numbered(3), kTestStart));
  EXPECT_EQ(StandingAfterARestart(thief_), Code::kRevokedCertificate);
  EXPECT_FALSE(damage_);
}

TEST_F(RevokedTest, AFolderThatChangesHandsHoldsNone) {
  PublicationStore carried = Must(PublicationStore::OpenCarried(RealFileSystem(), file_, fleet_.anchor()));
  ASSERT_TRUE(carried.Take(WithList(1, 1, {&thief_}), kTestStart));
  EXPECT_FALSE(std::filesystem::exists(list_file_));
}

}  // namespace
}  // namespace tributary::publication_store_test

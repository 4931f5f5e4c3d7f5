#include "aggregator/publish/publisher.h"

#include <gtest/gtest.h>

#include "aggregator/store/store.h"
#include "tests/aggregator/publish/test_publication_folder.h"
#include "tests/support/must.h"
#include "tests/support/test_fleet.h"

namespace tributary::publisher_test {
namespace {

constexpr Millis kLifetime = std::chrono::hours(24 * 30);
constexpr Millis kLookInterval{5'000};

class PublisherTest : public testing::Test {
 protected:
  PublisherTest() { extras_.sealing_key = fleet_.sealing_key().public_key; }

  Result<Publisher> TryOpen() {
    repository_.emplace(folder_.Open());
    return Publisher::Open({.file = data_ / "publication.bin",
                            .files = RealFileSystem(),
                            .clock = clock_,
                            .repository = *repository_,
                            .extras = [this] { return extras_; },
                            .lifetime = kLifetime,
                            .counters = store_->accounts});
  }
  Publisher Open() { return Must(TryOpen()); }
  Publisher Issued() {
    Publisher publisher = Open();
    Must(publisher.Issue({}));
    return publisher;
  }
  // As a member that was given the first root would.
  Publication Verify(const Publisher& publisher) {
    return Must(OpenPublication(publisher.bytes(), folder_.AnchorFor(fleet_.authority().certificate()), clock_.Now()));
  }
  // The daemon looks at the folder now and then.
  void Watch(Publisher& publisher) {
    clock_.Advance(kLookInterval);
    publisher.Watch();
  }
  void Rotate(const RootChange& change) {
    Must(WriteNextRoot(RealFileSystem(), folder_.path(), change, {folder_.root_keys[0].get()}));
  }

  ManualClock clock_;
  TestFleet fleet_;
  TestPublicationFolder folder_;
  TemporaryFolder data_;
  std::unique_ptr<Store> store_ = Must(Store::Open(data_ / "aggregator.db"));
  PublicationExtras extras_;
  std::optional<PublicationFolder> repository_;
};

TEST_F(PublisherTest, SignsWhatMembersBelieve) {
  const Publisher publisher = Issued();
  const Publication publication = Verify(publisher);
  EXPECT_EQ(publication.number, 1u);
  EXPECT_EQ(publication.root_version, 1u);
  EXPECT_EQ(publication.sealing_key, extras_.sealing_key);
  EXPECT_LE(publication.expires, clock_.Now() + kLifetime);
  EXPECT_GT(publication.expires, clock_.Now() + kLifetime + Millis(-1001)) << "whole seconds";
}

TEST_F(PublisherTest, KeepsWhatItSignedOverARestart) {
  const Bytes bytes = Issued().bytes();
  const Publisher again = Open();
  EXPECT_FALSE(again.owed());
  EXPECT_EQ(again.bytes(), bytes);
  EXPECT_EQ(again.number(), 1u);
}

TEST_F(PublisherTest, SignsAnewWhatWasDamaged) {
  Bytes bytes = Issued().bytes();
  for (const size_t at : {bytes.size() / 8, bytes.size() / 2, bytes.size() - 9}) {
    Bytes damaged = bytes;
    damaged[at] ^= 1;
    Must(WriteFileAtomically(RealFileSystem(), data_ / "publication.bin", damaged));
    EXPECT_TRUE(Open().owed()) << at;
  }
}

TEST_F(PublisherTest, PublishesChangedKeysAndRevocationsByItself) {
  Publisher publisher = Issued();
  publisher.Watch();
  EXPECT_FALSE(publisher.owed());
  extras_.former_keys.push_back({HpkeKeyId(extras_.sealing_key), clock_.Now() + kLifetime});
  publisher.Watch();
  EXPECT_TRUE(publisher.owed());
  Must(publisher.Issue({}));
  EXPECT_EQ(Verify(publisher).former_keys, extras_.former_keys);
  extras_.former_keys.clear();
  EXPECT_TRUE(Open().owed()) << "what changed while it was down";
}

TEST_F(PublisherTest, TakesUpANewRootAndNewKeysWithoutARestart) {
  Publisher publisher = Issued();
  Rotate({.new_online_keys = true, .expires = folder_.expires});
  Must(WriteNextTargets(RealFileSystem(), folder_.path(), {.new_rounds_key = true, .expires = folder_.expires},
                        folder_.targets));
  publisher.Watch();
  EXPECT_FALSE(publisher.owed()) << "not looked yet";
  Watch(publisher);
  ASSERT_TRUE(publisher.owed());
  Must(publisher.Issue({}));
  EXPECT_EQ(publisher.root_version(), 2u);
  const Publication publication = Verify(publisher);
  EXPECT_EQ(publication.root_version, 2u);
  EXPECT_EQ(publication.number, 2u);
}

TEST_F(PublisherTest, MoreRotationsThanTravelChangeNothing) {
  for (size_t i = 0; i < limits::kRootVersions; ++i) Rotate({.expires = folder_.expires});
  const Publisher publisher = Issued();
  EXPECT_EQ(publisher.root_version(), limits::kRootVersions + 1);
  EXPECT_EQ(Verify(publisher).root_version, limits::kRootVersions + 1);
  EXPECT_FALSE(Open().owed()) << "it is what would be signed now";
}

TEST_F(PublisherTest, NeverSignsUnderAnOlderRootThanMembersHaveSeen) {
  Publisher publisher = Issued();
  Rotate({.expires = folder_.expires});
  Watch(publisher);
  Must(publisher.Issue({}));
  Must(RealFileSystem().Remove(MetadataFile(folder_.path(), 2, tuf::kRootRole)));
  const auto opened = TryOpen();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kRollback);
}

TEST_F(PublisherTest, RenewalFollowsTheOnlineRolesOnly) {
  Publisher publisher = Issued();
  Rotate({.expires = clock_.Now() + std::chrono::hours(24)});  // an end that no renewal of ours moves
  Watch(publisher);
  Must(publisher.Issue({}));
  EXPECT_FALSE(publisher.RenewalDue());
  clock_.Advance(kLifetime * 2 / 3);
  EXPECT_TRUE(publisher.RenewalDue());
}

TEST_F(PublisherTest, KeepsWhatItSignedUnderARootThatHasEnded) {
  Publisher publisher = Issued();
  Rotate({.expires = clock_.Now() + std::chrono::hours(24)});
  clock_.Advance(std::chrono::hours(48));
  publisher.Watch();
  Must(publisher.Issue({}));
  EXPECT_FALSE(Open().owed()) << "signing it anew would not make members take it";
}

TEST_F(PublisherTest, RefusesWhatNoMemberWouldTake) {
  const Publisher publisher = Issued();
  PublishedTask task;
  task.id = TestTask("wide");
  for (int i = 0; i < 20'000; ++i)
    task.table.tensors.push_back({std::string(100, 'n') + std::to_string(i), {1}, static_cast<uint64_t>(i), 1});
  task.plan.batch_size = 1;
  const Status fits = publisher.CheckFits({task});
  ASSERT_FALSE(fits);
  EXPECT_EQ(fits.error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace tributary::publisher_test

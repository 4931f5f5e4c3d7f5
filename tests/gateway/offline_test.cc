#include <filesystem>

#include "tests/gateway/gateway_fixture.h"
#include "tests/support/must.h"

// A site whose gateway has no uplink.
namespace tributary::offline_test {
namespace {

using OfflineTest = GatewayTest;

TEST_F(OfflineTest, ServesAndTakesCustodyWithoutAnUplinkAndCatchesUpAfter) {
  const Bytes publication = MakePublication(world_, upstream_.blobs, 1, ModelVersion{3});
  const BlobRef weights = PublicationOf(world_, publication).tasks[0].weights;
  const Identity device = world_.fleet.Issue(Role::kDevice, "device-1");
  const auto held = [&] { return std::filesystem::exists(options_.data_dir / "relay" / "publication.bin"); };
  {
    const Running gateway(Open());
    upstream_->Publish(publication, 1, 1);
    ASSERT_TRUE(world_.RunUntilWithTime(held));
  }
  upstream_.Stop();
  {
    const Running gateway(Open());
    BlobStore blobs = *BlobStore::Open(RealFileSystem(), world_.folder / "device-blobs");
    TestSender sender(world_, device, world_.folder / "outbox", Address(*gateway));
    Fetcher fetcher(sender.client(), world_.loop, world_.random, blobs, world_.worker);
    sender.client().Start();
    sender.Put(MakeSealed(world_, device, 50'000));
    std::optional<Status> fetched;
    fetcher.Fetch(weights, [&](const Status& status) { fetched = status; });
    ASSERT_TRUE(
        world_.RunUntilWithTime([&] { return !sender.gone.empty() && fetched && !sender.publications.empty(); }));
    EXPECT_EQ(sender.gone[0].second, std::nullopt);
    EXPECT_TRUE(fetched->has_value());
    EXPECT_EQ(sender.publications[0], publication);
    EXPECT_TRUE(upstream_.sink.complete.empty());
  }
  upstream_.Start();
  upstream_->Publish(publication, 1, 1);
  const Running gateway(Open());
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return upstream_.sink.complete.size() == 1; }));
  EXPECT_EQ(upstream_.sink.complete.begin()->second.header.subject.device, device.subject.id);
  EXPECT_EQ(upstream_.sink.offered_via[0], TestDevice("gateway-1"));
}

// The publication's end date passes while nobody can bring a new one: devices install nothing from it, and what they
// made of it is still taken into custody, since it can count as long as the aggregator accepts its base version.
TEST_F(OfflineTest, AfterThePublicationsEndItInstallsNothingAndKeepsTakingCustody) {
  const Bytes publication = MakePublication(world_, upstream_.blobs, 1, ModelVersion{3});
  const auto held = [&] { return std::filesystem::exists(options_.data_dir / "relay" / "publication.bin"); };
  {
    const Running gateway(Open());
    upstream_->Publish(publication, 1, 1);
    ASSERT_TRUE(world_.RunUntilWithTime(held));
  }
  upstream_.Stop();
  world_.clock.Advance(Millis(23 * 3'600'000));
  const Running gateway(Open());
  // Shortly before: whoever comes gets it, with the round that is announced in it.
  const Identity early = world_.fleet.Issue(Role::kDevice, "device-1");
  BlobStore blobs = Must(BlobStore::Open(RealFileSystem(), world_.folder / "device-blobs"));
  TestSender first(world_, early, world_.folder / "outbox-1", Address(*gateway));
  first.client().Start();
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !first.publications.empty(); }));
  EXPECT_TRUE(PublicationOf(world_, first.publications[0]).tasks[0].round.has_value());

  world_.clock.Advance(Millis(2 * 3'600'000));
  const Identity late = world_.fleet.Issue(Role::kDevice, "device-2");
  TestSender second(world_, late, world_.folder / "outbox-2", Address(*gateway));
  Fetcher fetcher(second.client(), world_.loop, world_.random, blobs, world_.worker);
  PublicationStore store =
      Must(PublicationStore::Open(RealFileSystem(), world_.folder / "device.bin", world_.fleet.anchor()));
  int adopted = 0;
  Subscriber subscriber(fetcher, store, blobs, world_.clock, {.on_adopted = [&](const Publication&) { ++adopted; }});
  second.client().Start();
  second.Put(MakeSealed(world_, late, 20'000));
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !second.gone.empty() && !second.publications.empty(); }));
  EXPECT_EQ(second.gone[0].second, std::nullopt);
  subscriber.Consider(second.publications[0]);
  EXPECT_EQ(subscriber.counts().rejected, 1u);
  EXPECT_EQ(adopted, 0);
}

}  // namespace
}  // namespace tributary::offline_test

#include "gateway/desk/inbox.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "gateway/desk/drop_folder.h"
#include "protocol/bundle/bundle_folder.h"
#include "protocol/bundle/receipt.h"
#include "tests/protocol/hop/hop_fixture.h"
#include "tests/support/must.h"

namespace tributary::inbox_test {
namespace {

// A gateway's spool and membership, without its sockets, and a tool beside it.
class InboxTest : public ::testing::Test {
 protected:
  InboxTest() : parent_(world_, Role::kAggregator, "aggregator") {
    SpoolOptions options;
    options.folder = world_.folder / "spool";
    spool_ = Must(Spool::Open(options, RealFileSystem(), world_.clock, world_.worker));
    time_ = Must(TimeFloor::Open(world_.clock, RealFileSystem(), world_.folder / "time-floor"));
    membership_ = Must(Membership::Open({world_.loop, *time_, world_.random, RealFileSystem(), gateway_, world_.worker},
                                        {.server_keys_file = world_.folder / "server-keys",
                                         .publication_folder = world_.folder / "relay",
                                         .identity_folder = {},
                                         .hop = parent_.Address()}));
    membership_->Follow(
        {.on_adopted = [this](const Publication& publication) { adopted_.push_back(publication.number); }});
    inbox_ = std::make_unique<Inbox>(Inbox::Parts{RealFileSystem(), world_.clock, world_.loop, world_.worker, *spool_,
                                                  *membership_, world_.fleet.anchor()},
                                     world_.folder / "inbox");
  }
  SealedUpload Put(int device) {
    devices_.push_back(world_.fleet.Issue(Role::kDevice, "device-" + std::to_string(device)));
    SealedUpload upload = MakeSealed(world_, devices_.back(), 9'000);
    spool_->Offer(upload.header, upload.envelope, [](const Result<OfferAnswer>& answer) { Must(answer); });
    for (uint32_t i = 0; i < upload.chunks.size(); ++i) {
      spool_->Append(upload.header.subject.id, i, upload.chunks[i],
                     [](const Result<AppendAnswer>& answer) { Must(answer); });
    }
    world_.worker.RunAll();
    return upload;
  }
  // The gateway's answer to it.
  InboxAnswer Answer(const std::string& name) {
    inbox_->Look();
    world_.RunUntil([&] { return std::filesystem::exists(world_.folder / "inbox" / (name + ".answer")); }, 200);
    return post_.Await(name, world_.clock, Millis(0));
  }
  std::string Outcome(const std::string& name) {
    const InboxAnswer answer = Answer(name);
    return answer ? *answer : std::string(Name(answer.error().code));
  }
  // A publication in the folder that the tool copies from.
  void Carry(uint64_t number, ModelVersion latest) {
    const Path disk = world_.folder / ("disk-" + std::to_string(number));
    Must(RealFileSystem().CreateFolders(disk));
    BlobStore blobs = Must(BlobStore::Open(RealFileSystem(), disk / "blobs"));
    Must(WriteFileAtomically(RealFileSystem(), disk / "publication.bin",
                             MakePublication(world_, blobs, number, latest)));
    Must(CopyPublication(RealFileSystem(), disk, post_.folder(), world_.fleet.anchor(), world_.clock.Now()));
  }
  size_t Spooled() { return Must(spool_->Pending(100)).size(); }

  HopWorld world_;
  TestServer parent_;
  Identity gateway_ = world_.fleet.Issue(Role::kGateway, "gateway-1");
  Identity aggregator_ = world_.fleet.Issue(Role::kAggregator, "aggregator");
  std::vector<Identity> devices_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<TimeFloor> time_;
  std::unique_ptr<Membership> membership_;
  std::unique_ptr<Inbox> inbox_;
  InboxPost post_{RealFileSystem(), world_.folder / "inbox"};
  std::vector<uint64_t> adopted_;
};

TEST_F(InboxTest, AReceiptFreesWhatIsInCustodyAndNothingElse) {
  const UploadId mine = Put(0).header.subject.id;
  Put(1);
  const UploadId elsewhere = world_.random.TakeUploadId();
  const Bytes receipt = MakeReceipt(aggregator_, world_.clock.Now(), {elsewhere, mine});
  EXPECT_NE(Outcome(Must(post_.PutReceipt(receipt))).find("1 upload left"), std::string::npos);
  EXPECT_EQ(Spooled(), 1u);
  EXPECT_EQ(spool_->Account().Delivered(), 1u);
  EXPECT_TRUE(spool_->Account().Balances());
  // The same disk again.
  EXPECT_NE(Outcome(Must(post_.PutReceipt(receipt))).find("0 uploads left"), std::string::npos);
  EXPECT_EQ(Spooled(), 1u);
}

TEST_F(InboxTest, AnOrderDropsPartialUploadsOfOneDeviceOrOfAll) {
  Put(0);
  for (int device = 1; device < 4; ++device) {
    const SealedUpload upload =
        MakeSealed(world_, devices_.front(), 9'000, ModelVersion(static_cast<uint64_t>(device)));
    UploadHeader header = upload.header;
    header.subject.device = *DeviceId::Parse("device-" + std::to_string(device));
    spool_->Offer(header, upload.envelope, [](const Result<OfferAnswer>& answer) { Must(answer); });
  }
  world_.worker.RunAll();
  const auto drop = [&](const std::optional<DeviceId>& device) {
    return Outcome(Must(post_.PutOrder({.verb = Order::Verb::kDropPartial, .device = device}, world_.random)));
  };
  const auto in_flight = [&] { return spool_->Account().of(UploadKind::kUpdate).in_flight; };
  ASSERT_EQ(in_flight(), 3u);
  EXPECT_NE(drop(*DeviceId::Parse("device-2")).find("dropped 1 partial upload:"), std::string::npos);
  EXPECT_EQ(in_flight(), 2u);
  EXPECT_NE(drop(std::nullopt).find("dropped 2 partial uploads"), std::string::npos);
  EXPECT_EQ(in_flight(), 0u);
  EXPECT_EQ(Spooled(), 1u);
  EXPECT_TRUE(spool_->Account().Balances());
}

TEST_F(InboxTest, OnlyTheAggregatorsReceiptsAreHonoured) {
  const UploadId mine = Put(0).header.subject.id;
  EXPECT_EQ(Outcome(Must(post_.PutReceipt(MakeReceipt(gateway_, world_.clock.Now(), {mine})))), "wrong-role");
  Bytes forged = MakeReceipt(aggregator_, world_.clock.Now(), {mine});
  forged.back() ^= 1;
  EXPECT_EQ(Outcome(Must(post_.PutReceipt(forged))), "bad-signature");
  EXPECT_EQ(Spooled(), 1u);
  // They are told once, and are gone.
  EXPECT_TRUE(Must(RealFileSystem().List(world_.folder / "inbox")).empty());
}

TEST_F(InboxTest, ANewerPublicationIsAdoptedWithItsBlobs) {
  Carry(4, ModelVersion{3});
  EXPECT_EQ(Outcome(InboxPost::PublicationName()), "publication 4 is served from now on");
  EXPECT_EQ(adopted_, std::vector<uint64_t>{4});
  for (const BlobRef& blob : BlobsOf(*membership_->publications().current()))
    EXPECT_TRUE(membership_->blobs().Has(blob.digest));
  Carry(5, ModelVersion{4});
  EXPECT_EQ(Outcome(InboxPost::PublicationName()), "publication 5 is served from now on");
  EXPECT_TRUE(Must(RealFileSystem().List(world_.folder / "inbox" / "blobs")).empty());
}

TEST_F(InboxTest, AnOlderPublicationIsRefusedAndSaidSo) {
  Carry(4, ModelVersion{3});
  ASSERT_EQ(Outcome(InboxPost::PublicationName()), "publication 4 is served from now on");
  Carry(3, ModelVersion{2});
  EXPECT_EQ(Outcome(InboxPost::PublicationName()), "rollback");
  Carry(4, ModelVersion{3});
  EXPECT_EQ(membership_->publications().number(), 4u);
}

TEST_F(InboxTest, APublicationWithAFalseBlobIsNotServed) {
  Carry(4, ModelVersion{3});
  const auto names = Must(RealFileSystem().List(world_.folder / "inbox" / "blobs"));
  ASSERT_FALSE(names.empty());
  const Path blob = world_.folder / "inbox" / "blobs" / names[0];
  Bytes bytes = Must(ReadFile(RealFileSystem(), blob, limits::kMiB));
  bytes[0] ^= 1;
  Must(WriteFileAtomically(RealFileSystem(), blob, bytes));
  EXPECT_EQ(Outcome(InboxPost::PublicationName()), "digest-mismatch");
  EXPECT_EQ(membership_->publications().number(), 0u);
  EXPECT_TRUE(adopted_.empty());
}

TEST_F(InboxTest, DeadLettersAreRequeuedAndPurged) {
  const UploadId id = Put(0).header.subject.id;
  spool_->Drop(id, Code::kRoundClosed, [](const Status& status) { Must(status); });
  world_.worker.RunAll();
  ASSERT_EQ(Spooled(), 0u);
  const auto order = [&](const Order& what) { return Outcome(Must(post_.PutOrder(what, world_.random))); };
  EXPECT_NE(order({Order::Verb::kRequeue, id}).find("in custody again"), std::string::npos);
  EXPECT_EQ(Spooled(), 1u);
  EXPECT_EQ(order({Order::Verb::kRequeue, id}), "unknown-upload");
  spool_->Drop(id, Code::kRoundClosed, [](const Status& status) { Must(status); });
  world_.worker.RunAll();
  EXPECT_EQ(order({Order::Verb::kPurge, std::nullopt}), "purged 1 dead letter");
  EXPECT_EQ(order({Order::Verb::kPurge, id}), "unknown-upload");
  EXPECT_TRUE(spool_->Account().Balances());
}

TEST_F(InboxTest, StrangersAreLeftAlone) {
  Must(RealFileSystem().CreateFolders(world_.folder / "inbox"));
  Must(WriteFileAtomically(RealFileSystem(), world_.folder / "inbox/readme.txt", AsBytes("hello")));
  inbox_->Look();
  world_.RunUntil([&] { return world_.worker.idle(); });
  EXPECT_EQ(Must(RealFileSystem().List(world_.folder / "inbox")), std::vector<std::string>{"readme.txt"});
}

}  // namespace
}  // namespace tributary::inbox_test

#include "gateway/accept/acceptor.h"

#include <gtest/gtest.h>

#include "tests/protocol/hop/hop_fixture.h"

namespace tributary::acceptor_test {
namespace {

class AcceptorTest : public ::testing::Test {
 protected:
  AcceptorTest() : blobs_(*BlobStore::Open(RealFileSystem(), world_.folder / "blobs")) {
    SpoolOptions options;
    options.folder = world_.folder / "spool";
    spool_ = std::move(*Spool::Open(options, RealFileSystem(), world_.clock, world_.worker));
    acceptor_ = std::make_unique<Acceptor>(*spool_, world_.loop, world_.clock,
                                           KeyEnds::Load(RealFileSystem(), world_.folder / "key-ends"));
    acceptor_->Serve(
        {[this](const UploadId& id) { custody_.push_back(id); }, [this] { ++arrived_; }, [this] { idle_ = true; }});
  }
  void Publish(uint64_t number, ModelVersion latest, std::vector<ModelVersion> accepted) {
    Publication publication = PublicationOf(world_, MakePublication(world_, blobs_, number, latest));
    publication.tasks[0].accepted = std::move(accepted);
    acceptor_->OnPublication(publication);
    world_.RunUntil([&] { return world_.worker.idle(); });
  }
  Result<OfferAnswer> Offer(const SealedUpload& upload) {
    std::optional<Result<OfferAnswer>> given;
    const auto envelope = ParseEnvelope(upload.envelope);
    TRIBUTARY_CHECK(envelope.has_value()) << envelope.error().ToString();
    acceptor_->Offer(*envelope, {}, upload.header.subject.device,
                     [&](const Result<OfferAnswer>& answer) { given = answer; });
    TRIBUTARY_CHECK(world_.RunUntil([&] { return given.has_value(); })) << "no answer";
    return *given;
  }
  std::string Outcome(const SealedUpload& upload) {
    const Result<OfferAnswer> answer = Offer(upload);
    if (!answer) return std::string(Name(answer.error().code));
    return answer->already ? "already" : "resume " + std::to_string(answer->next_chunk);
  }
  SealedUpload Update(uint64_t base, std::string_view task = "digits") {
    return MakeSealed(world_, device_, 5'000, ModelVersion{base}, task);
  }
  void Send(const SealedUpload& upload) {
    size_t taken = 0;
    for (uint32_t i = 0; i < upload.chunks.size(); ++i) {
      acceptor_->Append(upload.header.subject.id, i, upload.chunks[i],
                        [&](const Status& status) { taken += status.has_value(); });
    }
    TRIBUTARY_CHECK(world_.RunUntil([&] { return taken == upload.chunks.size(); })) << taken;
  }

  HopWorld world_;
  BlobStore blobs_;
  Identity device_ = world_.fleet.Issue(Role::kDevice, "device-1");
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<Acceptor> acceptor_;
  std::vector<UploadId> custody_;
  int arrived_ = 0;
  bool idle_ = false;
};

TEST_F(AcceptorTest, WithoutAPublicationEverybodyIsToldToComeBack) {
  EXPECT_EQ(Outcome(Update(3)), "busy");
  EXPECT_TRUE(IsTransient(Code::kBusy));
  Publish(1, ModelVersion{3}, {ModelVersion{3}});
  EXPECT_EQ(Outcome(Update(3)), "resume 0");
}

TEST_F(AcceptorTest, TakesWhatCanStillCount) {
  Publish(1, ModelVersion{3}, {ModelVersion{2}, ModelVersion{3}});
  EXPECT_EQ(Outcome(Update(2)), "resume 0");
  EXPECT_EQ(Outcome(Update(3)), "resume 0");
  EXPECT_EQ(Outcome(Update(4)), "resume 0");  // newer than this gateway's publication: the aggregator knows
  EXPECT_EQ(Outcome(Update(1)), "stale-version");
  EXPECT_EQ(Outcome(Update(3, "another")), "unknown-task");
  // An evaluation speaks about whatever version it likes.
  EXPECT_EQ(Outcome(MakeSealed(world_, device_, 100, ModelVersion{1}, "digits", UploadKind::kEvaluation)), "resume 0");
  const KindAccount account = spool_->Account().of(UploadKind::kUpdate);
  EXPECT_EQ(account.refused, (std::map<Code, uint64_t>{{Code::kStaleVersion, 1}, {Code::kUnknownTask, 1}}));
  EXPECT_TRUE(account.Balances());
}

TEST_F(AcceptorTest, WhatIsSealedToAKeyThatIsOverLeavesAndIsNotTakenAgain) {
  const KeyId key = HpkeKeyId(world_.fleet.sealing_key().public_key);
  Publication publication = PublicationOf(world_, MakePublication(world_, blobs_, 1, ModelVersion{3}));
  publication.sealing_key = GenerateHpkeKeyPair().public_key;
  publication.former_keys = {{key, world_.clock.Now() + Millis(60'000)}};
  acceptor_->OnPublication(publication);
  const SealedUpload here = Update(3);
  ASSERT_EQ(Outcome(here), "resume 0");  // still opened
  Send(here);
  EXPECT_EQ(spool_->Account().Spooled(), 1u);
  world_.clock.Advance(Millis(60'000));
  acceptor_->DropEnded();
  ASSERT_TRUE(world_.RunUntil([&] { return spool_->Account().Spooled() == 0; }));
  EXPECT_EQ(spool_->Account().of(UploadKind::kUpdate).dropped.at(Code::kUnknownKey), 1u);
  EXPECT_EQ(Outcome(MakeSealed(world_, world_.fleet.Issue(Role::kDevice, "device-2"), 5'000)), "unknown-key");
  EXPECT_TRUE(spool_->Account().Balances());
}

TEST_F(AcceptorTest, AnExpiredUploadIsRefused) {
  Publish(1, ModelVersion{3}, {ModelVersion{3}});
  UploadHeader header = Update(3).header;
  header.subject.expires = world_.clock.Now() + Millis(1'000);
  const SealedUpload upload{header, SignEnvelope(header, device_.key, device_.chain), {}};
  EXPECT_EQ(Outcome(upload), "resume 0");
  world_.clock.Advance(Millis(1'000));
  EXPECT_EQ(Outcome(upload), "expired");
}

TEST_F(AcceptorTest, CustodyIsGivenBehindTheBarrierAndNotBefore) {
  Publish(1, ModelVersion{3}, {ModelVersion{3}});
  const SealedUpload upload = Update(3);
  ASSERT_EQ(Outcome(upload), "resume 0");
  const uint64_t barriers = spool_->Account().barriers;
  for (uint32_t i = 0; i < upload.chunks.size(); ++i) {
    acceptor_->Append(upload.header.subject.id, i, upload.chunks[i], [](const Status&) {});
  }
  // The spool's worker stands still: however often the loop turns, nothing is promised.
  for (int i = 0; i < 10; ++i) world_.loop.RunOnce(Millis(0));
  EXPECT_TRUE(custody_.empty());
  ASSERT_TRUE(world_.RunUntil([&] { return !custody_.empty(); }));
  EXPECT_EQ(custody_, std::vector{upload.header.subject.id});
  EXPECT_EQ(arrived_, 1);
  EXPECT_EQ(spool_->Account().barriers, barriers + 1);
  EXPECT_EQ(Outcome(upload), "already");
}

TEST_F(AcceptorTest, ANewerPublicationDropsWhatIsNotAcceptedAnyMore) {
  Publish(1, ModelVersion{3}, {ModelVersion{3}});
  const SealedUpload upload = Update(3);
  ASSERT_EQ(Outcome(upload), "resume 0");
  Send(upload);
  ASSERT_EQ(spool_->Pending(10)->size(), 1u);
  Publish(2, ModelVersion{4}, {ModelVersion{3}, ModelVersion{4}});
  EXPECT_EQ(spool_->Pending(10)->size(), 1u);
  Publish(3, ModelVersion{5}, {ModelVersion{4}, ModelVersion{5}});
  EXPECT_EQ(spool_->Pending(10)->size(), 0u);
  EXPECT_EQ(spool_->Account().of(UploadKind::kUpdate).dropped, (std::map<Code, uint64_t>{{Code::kStaleVersion, 1}}));
  EXPECT_EQ(Outcome(upload), "stale-version");
}

// Its device did not hear of its custody, and offers it when the next version is out.
TEST_F(AcceptorTest, WhatWasDeliveredIsAnsweredWithCustodyWhenItsVersionIsOver) {
  Publish(1, ModelVersion{3}, {ModelVersion{3}});
  const SealedUpload upload = Update(3);
  ASSERT_EQ(Outcome(upload), "resume 0");
  Send(upload);
  std::optional<Status> delivered;
  spool_->Delivered(upload.header.subject.id, [&](const Status& status) { delivered = status; });
  ASSERT_TRUE(world_.RunUntil([&] { return delivered && delivered->has_value(); }));
  Publish(2, ModelVersion{4}, {ModelVersion{4}});
  EXPECT_EQ(Outcome(upload), "already");
  EXPECT_TRUE(spool_->DeadLetters(10)->empty());
  EXPECT_TRUE(spool_->Account().of(UploadKind::kUpdate).refused.empty());
}

TEST_F(AcceptorTest, ATaskThatIsGoneTakesItsUploadsAlong) {
  Publish(1, ModelVersion{3}, {ModelVersion{3}});
  const SealedUpload upload = Update(3);
  ASSERT_EQ(Outcome(upload), "resume 0");
  Send(upload);
  Publication empty = PublicationOf(world_, MakePublication(world_, blobs_, 2, ModelVersion{3}));
  empty.tasks.clear();
  acceptor_->OnPublication(empty);
  ASSERT_TRUE(world_.RunUntil([&] { return spool_->Pending(10)->empty(); }));
  EXPECT_EQ(Outcome(Update(3)), "unknown-task");
}

// The sender has a chunk under way while a publication makes its version too old: the spool drops the upload, and the
// sender learns why when it offers it again.
TEST_F(AcceptorTest, AnUploadThatBecomesStaleWhileItComesIsRefusedAsStaleAndCounted) {
  Publish(1, ModelVersion{3}, {ModelVersion{3}});
  const SealedUpload upload = Update(3);
  ASSERT_GT(upload.chunks.size(), 1u);
  ASSERT_EQ(Outcome(upload), "resume 0");
  std::optional<Status> taken;
  acceptor_->Append(upload.header.subject.id, 0, upload.chunks[0], [&](const Status& status) { taken = status; });
  ASSERT_TRUE(world_.RunUntil([&] { return taken.has_value(); }));
  ASSERT_TRUE(taken->has_value());

  Publish(2, ModelVersion{9}, {ModelVersion{9}});
  taken.reset();
  acceptor_->Append(upload.header.subject.id, 1, upload.chunks[1], [&](const Status& status) { taken = status; });
  ASSERT_TRUE(world_.RunUntil([&] { return taken.has_value(); }));
  ASSERT_FALSE(taken->has_value());
  EXPECT_TRUE(IsTransient(taken->error().code)) << taken->error().ToString();
  EXPECT_EQ(Outcome(upload), "stale-version");

  world_.RunUntil([&] { return world_.worker.idle(); });
  const SpoolAccount account = spool_->Account();
  EXPECT_TRUE(account.Balances());
  EXPECT_EQ(account.of(UploadKind::kUpdate).dropped.at(Code::kStaleVersion), 1u);
  EXPECT_EQ(account.of(UploadKind::kUpdate).refused.at(Code::kStaleVersion), 1u);
  EXPECT_EQ(account.of(UploadKind::kUpdate).in_flight, 0u);
}

TEST_F(AcceptorTest, DrainingRefusesWhatIsNewAndFinishesWhatIsInProcess) {
  Publish(1, ModelVersion{3}, {ModelVersion{3}});
  const SealedUpload upload = Update(3);
  ASSERT_EQ(Outcome(upload), "resume 0");
  size_t taken = 0;
  for (uint32_t i = 0; i < upload.chunks.size(); ++i) {
    acceptor_->Append(upload.header.subject.id, i, upload.chunks[i],
                      [&](const Status& status) { taken += status.has_value(); });
  }
  acceptor_->Drain();
  EXPECT_FALSE(idle_);
  EXPECT_TRUE(custody_.empty());
  EXPECT_EQ(Outcome(Update(3)), "shutting-down");
  EXPECT_TRUE(IsTransient(Code::kShuttingDown));
  ASSERT_TRUE(world_.RunUntil([&] { return idle_; }));
  EXPECT_EQ(taken, upload.chunks.size());
  EXPECT_EQ(custody_, std::vector{upload.header.subject.id});
}

TEST_F(AcceptorTest, DrainingAnIdleDoorIsOverAtOnce) {
  acceptor_->Drain();
  EXPECT_TRUE(idle_);
}

}  // namespace
}  // namespace tributary::acceptor_test

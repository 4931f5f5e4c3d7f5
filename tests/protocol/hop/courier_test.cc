#include <gtest/gtest.h>

#include "tests/protocol/hop/hop_fixture.h"

// In which order and how fast a courier sends, and what it forgets.
namespace tributary::courier_test {
namespace {

constexpr uint64_t kChunk = limits::kMinChunkBytes + limits::kSealTagBytes;

class CourierTest : public ::testing::Test {
 protected:
  void Start(Courier::Options options = {}) {
    sender_ = std::make_unique<TestSender>(world_, gateway_, world_.folder / "spool", server_->Address(), options);
  }
  void StartServer(uint64_t credit_chunks) {
    HopServer::Options options;
    options.credit_bytes = options.session_credit_bytes = credit_chunks * kChunk;
    server_.reset();
    server_ = std::make_unique<TestServer>(world_, Role::kAggregator, "top", options);
  }
  SealedUpload Sealed(size_t bytes, UploadKind kind = UploadKind::kUpdate) {
    return MakeSealed(world_, device_, bytes, ModelVersion(++base_), "digits", kind);
  }

  HopWorld world_;
  std::unique_ptr<TestServer> server_ = std::make_unique<TestServer>(world_, Role::kAggregator, "top");
  Identity gateway_ = world_.fleet.Issue(Role::kGateway, "gateway-1");
  Identity device_ = world_.fleet.Issue(Role::kDevice, "device-1");
  std::unique_ptr<TestSender> sender_;
  uint64_t base_ = 2;
};

TEST_F(CourierTest, OfOneUploadOneChunkIsUnderWay) {
  server_->sink.hold_chunks = true;
  Start();
  sender_->Put(Sealed(100'000));
  sender_->client().Start();
  ASSERT_TRUE(world_.RunUntil([&] { return server_->sink.held() == 1; }));
  for (int i = 0; i < 50; ++i) world_.Turn();
  EXPECT_EQ(server_->sink.held(), 1u);
  EXPECT_EQ(sender_->courier().counts().chunk_bytes, kChunk);
  EXPECT_EQ((*server_)->counts().credit_in_use, kChunk);
}

// Wherever the server is killed, and whatever it forgets of what it had not said to be safe.
TEST_F(CourierTest, NoInterruptionCostsMoreThanOneChunkOfAnUpload) {
  Start();
  const SealedUpload upload = Sealed(200'000);
  sender_->Put(upload);
  sender_->client().Start();
  int interruptions = 0;
  for (uint64_t at = 3; at < 40; at += 9) {
    ASSERT_TRUE(world_.RunUntilWithTime([&] { return server_->sink.appended_bytes >= (at + 1) * kChunk; }));
    server_->Stop();
    server_->Start();
    ++interruptions;
  }
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !sender_->gone.empty(); }));
  const uint64_t most = upload.header.ciphertext_size + static_cast<uint64_t>(interruptions) * kChunk;
  EXPECT_LE(sender_->courier().counts().chunk_bytes, most);
  EXPECT_EQ(sender_->courier().counts().resent_bytes,
            sender_->courier().counts().chunk_bytes - upload.header.ciphertext_size);
  EXPECT_EQ(sender_->client().link().at(LinkPurpose::kUploads).resent, sender_->courier().counts().resent_bytes);
}

TEST_F(CourierTest, WhatWaitsForARoundIsOfferedWhenOneOpens) {
  int offers = 0;
  bool open = false;
  server_->sink.judge = [&](const SignedEnvelope&) -> std::optional<Result<OfferAnswer>> {
    ++offers;
    if (open) return std::nullopt;
    return Fail(Code::kRoundClosed, "no round is open");
  };
  Start();
  for (int i = 0; i < 11; ++i) sender_->Put(Sealed(5'000));
  sender_->client().Start();
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return offers == 11; }));
  const auto waits = [&](Millis step, int turns) {
    return !world_.RunUntilWithTime([&, before = offers] { return offers > before; }, step, turns);
  };
  EXPECT_TRUE(waits(Millis(5'000), 720)) << "an hour";
  BlobStore blobs = *BlobStore::Open(RealFileSystem(), world_.folder / "blobs");
  Publication publication = PublicationOf(world_, MakePublication(world_, blobs, 1, ModelVersion{3}));
  const std::optional<RoundAnnouncement> round = std::exchange(publication.tasks[0].round, std::nullopt);
  sender_->courier().OnPublication(publication);
  EXPECT_TRUE(waits(Millis(100), 100)) << "a publication without a round";
  publication.tasks[0].round = round;
  sender_->courier().OnPublication(publication);
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return offers == 22; }));
  sender_->courier().OnPublication(publication);
  EXPECT_TRUE(waits(Millis(100), 100)) << "the same round again";
  // Without any announcement it asks again after hours.
  open = true;
  while (sender_->gone.size() < 11) {
    const size_t gone = sender_->gone.size();
    ASSERT_TRUE(world_.RunUntilWithTime(
        [&] { return sender_->courier().under_way() > 0 || sender_->gone.size() > gone; }, Millis(30'000), 1'000));
    // An upload that is under way goes on in time that a slow disk can follow.
    ASSERT_TRUE(world_.RunUntilWithTime([&] { return sender_->gone.size() > gone; }));
  }
}

TEST_F(CourierTest, TheMoreUrgentOvertakesHoweverManyAreUnderWay) {
  StartServer(1);
  Start();
  for (int i = 0; i < 40; ++i) sender_->Put(Sealed(20'000, UploadKind::kEvaluation));
  sender_->client().Start();
  ASSERT_TRUE(world_.RunUntil([&] { return sender_->courier().under_way() >= 20; }));
  const SealedUpload update = Sealed(40'000);
  const size_t before = server_->sink.complete.size();
  sender_->Put(update);
  ASSERT_TRUE(world_.RunUntil([&] { return server_->sink.complete.contains(update.header.subject.id); }));
  // At most those whose last chunk had been sent, or went while the offer was answered.
  EXPECT_LE(server_->sink.complete.size(), before + 3);
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return server_->sink.complete.size() == 41; }));
}

TEST_F(CourierTest, WhatIsRefusedForNowDoesNotHoldUpTheRest) {
  server_->sink.judge = [](const SignedEnvelope& envelope) -> std::optional<Result<OfferAnswer>> {
    if (envelope.header.subject.kind != UploadKind::kUpdate) return std::nullopt;
    return Fail(Code::kQuotaExceeded, "no room for this device");
  };
  Courier::Options options;
  options.max_under_way = 4;
  Start(options);
  for (int i = 0; i < 40; ++i) sender_->Put(Sealed(100));
  for (int i = 0; i < 10; ++i) sender_->Put(Sealed(100, UploadKind::kEvaluation));
  sender_->client().Start();
  ASSERT_TRUE(world_.RunUntil([&] { return sender_->Spooled() == 40; })) << sender_->Spooled();
  EXPECT_EQ(server_->sink.complete.size(), 10u);
}

TEST_F(CourierTest, ThePolicyHoldsBackWhatItDoesNotAllowAndIsAskedAgain) {
  bool open = false;
  Courier::Options options;
  options.wait_before = [&](const SpooledUpload& upload) {
    return open || upload.kind == UploadKind::kEvaluation ? Millis(0) : Millis(60'000);
  };
  Start(options);
  const SealedUpload held_back = Sealed(20'000);
  const SealedUpload urgent = Sealed(20'000, UploadKind::kEvaluation);
  sender_->Put(held_back);
  sender_->Put(urgent);
  sender_->client().Start();
  ASSERT_TRUE(world_.RunUntil([&] { return sender_->gone.size() == 1; }));
  EXPECT_EQ(sender_->gone[0].first, urgent.header.subject.id);
  EXPECT_TRUE(sender_->client().up());
  open = true;
  for (int i = 0; i < 20; ++i) world_.Turn();
  EXPECT_EQ(sender_->gone.size(), 1u);
  world_.clock.Advance(Millis(60'000));
  ASSERT_TRUE(world_.RunUntil([&] { return sender_->gone.size() == 2; }));
}

TEST_F(CourierTest, ACapIsKeptOnAverage) {
  constexpr uint64_t kRate = 20'000;
  LinkBudget budget(world_.clock, kRate);
  Courier::Options options;
  options.budget = &budget;
  Start(options);
  const SealedUpload upload = Sealed(200'000);
  sender_->Put(upload);
  sender_->client().Start();
  const Millis began = world_.clock.Monotonic();
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !sender_->gone.empty(); }, Millis(5)));
  const auto took = (world_.clock.Monotonic() - began).count();
  // A second's worth is there at the beginning.
  const auto least = static_cast<int64_t>((upload.header.ciphertext_size - kChunk) * 1000 / kRate) - 1'000;
  EXPECT_GE(took, least);
  EXPECT_LE(took, least + 4'000);
}

TEST_F(CourierTest, WhatTheSourceDropsMeanwhileIsForgotten) {
  server_->sink.hold_custody = true;
  Start();
  for (int i = 0; i < 5; ++i) sender_->Put(Sealed(100));
  sender_->client().Start();
  ASSERT_TRUE(world_.RunUntil([&] { return server_->sink.complete.size() == 5; }));
  EXPECT_EQ(sender_->courier().under_way(), 5u);
  sender_->spool().DropStale(TestTask("digits"), {}, [](const Result<uint64_t>& dropped) { EXPECT_EQ(*dropped, 5u); });
  world_.worker.RunAll();
  sender_->courier().Nudge();
  EXPECT_EQ(sender_->courier().under_way(), 0u);
  EXPECT_TRUE(sender_->gone.empty());
}

TEST_F(CourierTest, ManyThatVanishDoNotUseUpWhatTheServerAllowsASession) {
  server_->sink.hold_custody = true;
  Start();
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 40; ++i) sender_->Put(Sealed(100));
    sender_->client().Start();
    ASSERT_TRUE(world_.RunUntilWithTime([&] { return sender_->courier().under_way() == 32; })) << round;
    sender_->spool().DropStale(TestTask("digits"), {}, [](const Result<uint64_t>&) {});
    world_.worker.RunAll();
    sender_->courier().Nudge();
    EXPECT_EQ(sender_->courier().under_way(), 0u);
  }
  server_->sink.hold_custody = false;
  sender_->Put(Sealed(100));
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !sender_->gone.empty(); }));
  EXPECT_FALSE(sender_->courier().counts().refused.contains(Code::kBusy));
}

// One upload on a disk that fails as the test says.
class TroubledSource final : public UploadSource {
 public:
  explicit TroubledSource(SealedUpload upload) : upload_(std::move(upload)) {}
  std::optional<Code> read_error;
  std::optional<Code> delete_error;
  bool here = true;
  int reads = 0;
  int deletions = 0;
  std::optional<Code> dropped;

  Result<std::vector<SpooledUpload>> Pending(size_t) const override {
    std::vector<SpooledUpload> pending;
    if (here) pending.push_back(FactsOf(upload_.header));
    return pending;
  }
  Result<Bytes> ReadEnvelope(const UploadId&) const override { return upload_.envelope; }
  Result<Bytes> ReadChunk(const UploadId&, uint32_t index) const override {
    ++const_cast<TroubledSource*>(this)->reads;
    if (read_error) return Fail(*read_error, "the disk does not read");
    return upload_.chunks.at(index);
  }
  void Delivered(const UploadId&, Done<void> done) override {
    ++deletions;
    if (delete_error) return done(Fail(*delete_error, "the disk does not write"));
    here = false;
    done({});
  }
  void Drop(const UploadId&, Code reason, Done<void> done) override {
    dropped = reason;
    here = false;
    done({});
  }

 private:
  SealedUpload upload_;
};

class TroubledCourier : public CourierTest {
 protected:
  void Carry() {
    client_.Start();
    world_.RunUntilWithTime([&] { return !source_.here; }, Millis(20), 500);  // 10 s
  }
  TroubledSource source_{Sealed(1'000)};
  HopClient client_{{world_.loop, world_.clock, world_.random, gateway_},
                    server_->Address(),
                    {[] { return hop::CheckIn(); }, [](ByteView) {}, nullptr}};
  Courier courier_{
      client_, world_.loop, world_.clock, world_.random, source_, {}, [](const UploadId&, const Error*) {}};
};

TEST_F(TroubledCourier, WhatCannotBeReadJustNowIsNoDeadLetter) {
  source_.read_error = Code::kIo;
  Carry();
  EXPECT_TRUE(source_.here);
  EXPECT_EQ(source_.dropped, std::nullopt);
  EXPECT_GE(source_.reads, 2) << "it is tried again";
  EXPECT_LE(source_.reads, 25) << "with patience";
  source_.read_error.reset();
  Carry();
  EXPECT_FALSE(source_.here);
  EXPECT_EQ(source_.dropped, std::nullopt);
  EXPECT_EQ(server_->sink.complete.size(), 1u);
}

TEST_F(TroubledCourier, WhatIsDamagedIsADeadLetter) {
  source_.read_error = Code::kCorrupt;
  Carry();
  EXPECT_EQ(source_.dropped, Code::kCorrupt);
}

TEST_F(TroubledCourier, WhatCannotBeDeletedIsNotOfferedInALoop) {
  source_.delete_error = Code::kReadOnly;
  Carry();
  EXPECT_GE(source_.deletions, 2);
  EXPECT_LE(source_.deletions, 25);
  source_.delete_error.reset();
  Carry();
  EXPECT_FALSE(source_.here);
  EXPECT_EQ(server_->sink.complete.size(), 1u);
}

}  // namespace
}  // namespace tributary::courier_test

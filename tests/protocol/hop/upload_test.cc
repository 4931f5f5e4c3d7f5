#include <numeric>

#include <gtest/gtest.h>

#include "tests/protocol/hop/hop_fixture.h"

namespace tributary::upload_test {
namespace {

constexpr uint64_t kChunk = limits::kMinChunkBytes + limits::kSealTagBytes;

HopServer::Options SmallCredit(uint64_t chunks, uint64_t session_chunks) {
  HopServer::Options options;
  options.credit_bytes = chunks * kChunk;
  options.session_credit_bytes = session_chunks * kChunk;
  return options;
}

class UploadTest : public ::testing::Test {
 protected:
  void SetUp() override { StartServer(SmallCredit(64, 8)); }
  void StartServer(HopServer::Options options) {
    server_.reset();
    server_ = std::make_unique<TestServer>(world_, Role::kGateway, "gateway-1", options);
  }
  std::unique_ptr<TestSender> Sender(const Identity& identity, Courier::Options options = {}) {
    auto sender = std::make_unique<TestSender>(
        world_, identity, world_.folder / (identity.subject.id.text() + "-outbox"), server_->Address(), options);
    sender->client().Start();
    return sender;
  }
  // A raw client that is welcomed and whose offer of `upload` was answered with resume.
  std::unique_ptr<RawClient> Offered(const SealedUpload& upload) {
    auto client = std::make_unique<RawClient>(world_, *server_, device_);
    TRIBUTARY_CHECK(!client->Introduce(device_)) << "not welcomed";
    client->Send(hop::Offer{upload.envelope});
    TRIBUTARY_CHECK(client->Await<hop::Resume>().has_value()) << "not resumed";
    return client;
  }

  // `credit` is there already.
  void SendAsCreditComes(RawClient& client, const SealedUpload& upload, const std::vector<Bytes>& chunks,
                         uint64_t credit) {
    for (uint32_t i = 0; i < chunks.size(); ++i) {
      while (credit < chunks[i].size()) {
        const auto more = client.Await<hop::Credit>();
        ASSERT_TRUE(more) << "no credit for chunk " << i;
        credit += more->bytes;
      }
      credit -= chunks[i].size();
      client.Send(hop::Chunk{upload.header.subject.id, i}, chunks[i]);
    }
  }

  HopWorld world_;
  std::unique_ptr<TestServer> server_;
  Identity device_ = world_.fleet.Issue(Role::kDevice, "device-1");
};

TEST_F(UploadTest, ArrivesWholeAndLeavesTheOutboxOnlyWithCustody) {
  const SealedUpload upload = MakeSealed(world_, device_, 100'000);
  server_->sink.hold_custody = true;
  const auto sender = Sender(device_);
  sender->Put(upload);
  ASSERT_TRUE(world_.RunUntil([&] { return !server_->sink.complete.empty(); }));
  for (int i = 0; i < 20; ++i) world_.Turn();
  EXPECT_EQ(sender->Spooled(), 1u);
  EXPECT_TRUE(sender->gone.empty());
  const auto& [id, stored] = *server_->sink.complete.begin();
  EXPECT_EQ(stored.chunks, upload.chunks);

  (*server_)->GiveCustody(id);
  ASSERT_TRUE(world_.RunUntil([&] { return !sender->gone.empty(); }));
  EXPECT_EQ(sender->gone[0], std::pair(id, std::optional<Code>()));
  EXPECT_EQ(sender->Spooled(), 0u);
  EXPECT_EQ(sender->courier().counts().chunk_bytes, upload.header.ciphertext_size);
  EXPECT_EQ(sender->courier().counts().resent_bytes, 0u);
  EXPECT_EQ((*server_)->counts().chunk_bytes, upload.header.ciphertext_size);
  EXPECT_EQ((*server_)->counts().credit_in_use, 0u);
}

// The total is checked at every turn by TestServer.
TEST_F(UploadTest, SeveralClientsShareAPoolThatIsSmallerThanAnyPayload) {
  StartServer(SmallCredit(3, 2));
  std::vector<Identity> devices;
  for (int i = 0; i < 4; ++i) devices.push_back(world_.fleet.Issue(Role::kDevice, "device-" + std::to_string(i)));
  std::vector<std::unique_ptr<TestSender>> senders;
  for (const Identity& device : devices) {
    senders.push_back(Sender(device));
    senders.back()->Put(MakeSealed(world_, device, 60'000));
    senders.back()->Put(MakeSealed(world_, device, 30'001, ModelVersion{4}));
    senders.back()->Put(MakeSealed(world_, device, 300, ModelVersion{4}, "digits", UploadKind::kEvaluation));
  }
  ASSERT_TRUE(world_.RunUntil([&] { return server_->sink.complete.size() == 12; }));
  EXPECT_EQ((*server_)->counts().credit_in_use, 0u);
  EXPECT_TRUE((*server_)->counts().refused.empty());
}

TEST_F(UploadTest, NothingMoreComesThanThereIsCreditFor) {
  StartServer(SmallCredit(3, 2));
  server_->sink.hold_chunks = true;
  const auto sender = Sender(device_);
  for (int base = 3; base < 6; ++base) sender->Put(MakeSealed(world_, device_, 100'000, ModelVersion(base)));
  ASSERT_TRUE(world_.RunUntil([&] { return server_->sink.held() == 2; }));
  for (int i = 0; i < 50; ++i) world_.Turn();
  EXPECT_EQ(server_->sink.held(), 2u);
  EXPECT_EQ((*server_)->counts().credit_in_use, 2 * kChunk);
  ASSERT_TRUE(world_.RunUntil([&] {
    server_->sink.Release();
    return server_->sink.complete.size() == 3;
  }));
}

// Uploads pass each other on the credit of one connection; none may be left short of it.
TEST_F(UploadTest, SmallUploadsThatPassLargeOnesDoNotUseUpTheirCredit) {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    StartServer(SmallCredit(4, 1 + seed % 3));
    const Identity gateway = world_.fleet.Issue(Role::kGateway, "gateway-" + std::to_string(100 + seed));
    const auto sender = Sender(gateway);
    SeededRandom sizes(seed);
    for (int i = 0; i < 20; ++i) {
      const Identity device = world_.fleet.Issue(Role::kDevice, "device-" + std::to_string(i));
      sender->Put(MakeSealed(world_, device, 1 + sizes.Below(i % 2 ? 500 : 30'000)));
    }
    ASSERT_TRUE(world_.RunUntil([&] { return server_->sink.complete.size() == 20; }, 3'000))
        << "seed " << seed << ": " << server_->sink.complete.size() << " of 20, " << (*server_)->counts().credit_in_use
        << " bytes of credit in use";
    EXPECT_EQ((*server_)->counts().credit_in_use, 0u);
  }
}

TEST_F(UploadTest, MoreThanTheCreditClosesTheConnection) {
  StartServer(SmallCredit(3, 2));
  server_->sink.hold_chunks = true;
  const SealedUpload upload = MakeSealed(world_, device_, 100'000);
  const auto client = Offered(upload);
  const auto credit = client->Await<hop::Credit>();
  ASSERT_TRUE(credit);
  EXPECT_EQ(credit->bytes, kChunk);
  for (uint32_t i = 0; i < 2; ++i) client->Send(hop::Chunk{upload.header.subject.id, i}, upload.chunks[i]);
  EXPECT_EQ(client->AwaitRefused(), Code::kCreditExceeded);
  EXPECT_EQ(server_->Refused(Code::kCreditExceeded), 1u);
  EXPECT_EQ((*server_)->counts().sessions, 0u);
  server_->sink.Release();  // what it had sent is still taken, and its credit comes back
  EXPECT_EQ((*server_)->counts().credit_in_use, 0u);
}

TEST_F(UploadTest, ChunksInTheWrongOrderAreRefused) {
  const SealedUpload upload = MakeSealed(world_, device_, 20'000);
  const auto client = Offered(upload);
  ASSERT_TRUE(client->Await<hop::Credit>());
  client->Send(hop::Chunk{upload.header.subject.id, 1}, upload.chunks[1]);
  const auto refuse = client->Await<hop::Refuse>();
  ASSERT_TRUE(refuse);
  EXPECT_EQ(refuse->refusal.code, Code::kChunkOutOfOrder);
  EXPECT_EQ(server_->Refused(Code::kChunkOutOfOrder), 1u);
  EXPECT_EQ(server_->refused_uploads, std::vector{Code::kChunkOutOfOrder});
  EXPECT_EQ(server_->sink.appended_bytes, 0u);
  // The session is there, and the upload can be offered again.
  client->Send(hop::Offer{upload.envelope});
  EXPECT_TRUE(client->Await<hop::Resume>());
}

TEST_F(UploadTest, AChunkOfTheWrongSizeIsRefused) {
  const SealedUpload upload = MakeSealed(world_, device_, 20'000);
  for (const size_t size : {upload.chunks[0].size() - 1, size_t{1}}) {
    const auto client = Offered(upload);
    ASSERT_TRUE(client->Await<hop::Credit>());
    client->Send(hop::Chunk{upload.header.subject.id, 0}, Bytes(size));
    const auto refuse = client->Await<hop::Refuse>();
    ASSERT_TRUE(refuse) << size;
    EXPECT_EQ(refuse->refusal.code, Code::kMalformed) << size;
  }
  EXPECT_EQ(server_->Refused(Code::kMalformed), 2u);
  {
    const auto greedy = Offered(upload);
    ASSERT_TRUE(greedy->Await<hop::Credit>());
    greedy->Send(hop::Chunk{upload.header.subject.id, 0}, Bytes(upload.chunks[0].size() + 1));
    EXPECT_EQ(greedy->AwaitRefused(), Code::kCreditExceeded);
  }
  const auto client = Offered(upload);
  ASSERT_TRUE(client->Await<hop::Credit>());
  client->Send(hop::Chunk{upload.header.subject.id, 0});
  EXPECT_EQ(client->AwaitRefused(), Code::kMalformed);  // no bytes at all: not even a chunk
  EXPECT_EQ(server_->sink.appended_bytes, 0u);
}

TEST_F(UploadTest, AChunkOfAnUploadThatIsNotUnderWayIsRefused) {
  const SealedUpload upload = MakeSealed(world_, device_, 20'000);
  const auto client = Offered(upload);
  ASSERT_TRUE(client->Await<hop::Credit>());
  const UploadId unknown = world_.random.TakeUploadId();
  client->Send(hop::Chunk{unknown, 0}, upload.chunks[0]);
  const auto refuse = client->Await<hop::Refuse>();
  ASSERT_TRUE(refuse);
  EXPECT_EQ(refuse->upload, unknown);
  EXPECT_EQ(refuse->refusal.code, Code::kUnknownUpload);
  EXPECT_EQ(server_->Refused(Code::kUnknownUpload), 1u);
  // The credit it used is given again, so the honest upload does not starve.
  SendAsCreditComes(*client, upload, upload.chunks, 0);
  EXPECT_TRUE(client->Await<hop::Custody>());
}

TEST_F(UploadTest, BytesOfAnotherUploadDoNotPassForThisOne) {
  const SealedUpload upload = MakeSealed(world_, device_, 20'000);
  const SealedUpload other = MakeSealed(world_, device_, 20'000);
  const auto client = Offered(upload);
  ASSERT_TRUE(client->Await<hop::Credit>());
  std::vector<Bytes> chunks = upload.chunks;
  chunks[2] = other.chunks[2];
  SendAsCreditComes(*client, upload, chunks, kChunk);
  const auto refuse = client->Await<hop::Refuse>();
  ASSERT_TRUE(refuse);
  EXPECT_EQ(refuse->refusal.code, Code::kDigestMismatch);
  EXPECT_EQ(server_->Refused(Code::kDigestMismatch), 1u);
  EXPECT_TRUE(server_->sink.complete.empty());
}

TEST_F(UploadTest, ADeviceUploadsOnlyItsOwn) {
  const Identity other = world_.fleet.Issue(Role::kDevice, "device-2");
  const SealedUpload others = MakeSealed(world_, other, 5'000);
  RawClient client(world_, *server_, device_);
  ASSERT_EQ(client.Introduce(device_), std::nullopt);
  client.Send(hop::Offer{others.envelope});
  const auto refuse = client.Await<hop::Refuse>();
  ASSERT_TRUE(refuse);
  EXPECT_EQ(refuse->refusal.code, Code::kWrongIdentity);
  EXPECT_EQ(server_->Refused(Code::kWrongIdentity), 1u);
  EXPECT_EQ(server_->refused_uploads, std::vector{Code::kWrongIdentity});
  EXPECT_TRUE(server_->sink.offered_via.empty());
  // A gateway brings what others made.
  const Identity gateway = world_.fleet.Issue(Role::kGateway, "gateway-2");
  RawClient relay(world_, *server_, gateway);
  ASSERT_EQ(relay.Introduce(gateway), std::nullopt);
  relay.Send(hop::Offer{others.envelope});
  EXPECT_TRUE(relay.Await<hop::Resume>());
  EXPECT_EQ(server_->sink.offered_via, std::vector{gateway.subject.id});
}

TEST_F(UploadTest, AGarbledEnvelopeClosesTheConnection) {
  const SealedUpload upload = MakeSealed(world_, device_, 5'000);
  RawClient client(world_, *server_, device_);
  ASSERT_EQ(client.Introduce(device_), std::nullopt);
  Bytes garbled = upload.envelope;
  garbled.resize(garbled.size() - 8);
  client.Send(hop::Offer{garbled});
  EXPECT_EQ(client.AwaitRefused(), Code::kMalformed);
  EXPECT_EQ(server_->Refused(Code::kMalformed), 1u);
  EXPECT_EQ(server_->refused_uploads, std::vector{Code::kMalformed});
}

TEST_F(UploadTest, AnEnvelopeThatTheDeviceDidNotSignIsRefused) {
  UploadHeader header = MakeSealed(world_, device_, 5'000).header;
  RawClient client(world_, *server_, device_);
  ASSERT_EQ(client.Introduce(device_), std::nullopt);
  client.Send(hop::Offer{SignEnvelope(header, SigningKey::Generate(), device_.chain)});
  const auto forged = client.Await<hop::Refuse>();
  ASSERT_TRUE(forged);
  EXPECT_EQ(forged->refusal.code, Code::kBadSignature);
  EXPECT_EQ(forged->upload, header.subject.id);
  const TestFleet other;
  const Identity stranger = other.Issue(Role::kDevice, "device-1");
  client.Send(hop::Offer{SignEnvelope(header, stranger.key, stranger.chain)});
  const auto unknown = client.Await<hop::Refuse>();
  ASSERT_TRUE(unknown);
  EXPECT_EQ(unknown->refusal.code, Code::kUnknownCertificate);
  EXPECT_EQ(server_->Refused(Code::kBadSignature), 1u);
  EXPECT_EQ(server_->Refused(Code::kUnknownCertificate), 1u);
  EXPECT_TRUE(server_->sink.offered_via.empty());
}

TEST_F(UploadTest, ChunksLargerThanTheServerTakesAreRefusedAtTheOffer) {
  HopServer::Options options;
  options.max_chunk_bytes = limits::kMinChunkBytes - 1;
  StartServer(options);
  RawClient client(world_, *server_, device_);
  ASSERT_EQ(client.Introduce(device_), std::nullopt);
  client.Send(hop::Offer{MakeSealed(world_, device_, 5'000).envelope});
  const auto refuse = client.Await<hop::Refuse>();
  ASSERT_TRUE(refuse);
  EXPECT_EQ(refuse->refusal.code, Code::kTooLarge);
}

TEST_F(UploadTest, AConnectionHasOnlySoManyUploadsUnderWay) {
  HopServer::Options options;
  options.max_session_uploads = 2;
  StartServer(options);
  server_->sink.hold_custody = true;
  RawClient client(world_, *server_, device_);
  ASSERT_EQ(client.Introduce(device_), std::nullopt);
  for (int i = 0; i < 2; ++i) {
    client.Send(hop::Offer{MakeSealed(world_, device_, 100, ModelVersion(i)).envelope});
    ASSERT_TRUE(client.Await<hop::Resume>());
  }
  client.Send(hop::Offer{MakeSealed(world_, device_, 100, ModelVersion{7}).envelope});
  const auto refuse = client.Await<hop::Refuse>();
  ASSERT_TRUE(refuse);
  EXPECT_EQ(refuse->refusal.code, Code::kBusy);
}

TEST_F(UploadTest, ADuplicateIsAnsweredAlreadyAndLeavesTheOutbox) {
  const SealedUpload upload = MakeSealed(world_, device_, 10'000);
  {
    // Custody is given, and the sender dies before it hears of it.
    server_->sink.hold_custody = true;
    const auto sender = Sender(device_);
    sender->Put(upload);
    ASSERT_TRUE(world_.RunUntil([&] { return !server_->sink.complete.empty(); }));
  }
  const uint64_t before = server_->sink.appended_bytes;
  const auto sender = Sender(device_);
  ASSERT_TRUE(world_.RunUntil([&] { return !sender->gone.empty(); }));
  EXPECT_EQ(sender->gone[0].second, std::nullopt);
  EXPECT_EQ(server_->sink.appended_bytes, before);
  EXPECT_EQ(sender->Spooled(), 0u);
}

TEST_F(UploadTest, ARefusalThatPassesIsTriedAgainAfterItsWindowAndNotBefore) {
  int offers = 0;
  server_->sink.judge = [&](const SignedEnvelope&) -> std::optional<Result<OfferAnswer>> {
    if (++offers > 1) return std::nullopt;
    return Fail(Code::kDiskFull, "no space");
  };
  const auto sender = Sender(device_);
  sender->Put(MakeSealed(world_, device_, 10'000));
  ASSERT_TRUE(world_.RunUntil([&] { return sender->courier().counts().refused.contains(Code::kDiskFull); }));
  EXPECT_EQ(server_->Refused(Code::kDiskFull), 1u);
  // The window of a full disk begins after two seconds.
  world_.clock.Advance(Millis(1'999));
  for (int i = 0; i < 20; ++i) world_.Turn();
  EXPECT_EQ(offers, 1);
  EXPECT_EQ(sender->Spooled(), 1u);
  world_.clock.Advance(Millis(18'002));
  ASSERT_TRUE(world_.RunUntil([&] { return !sender->gone.empty(); }));
  EXPECT_EQ(offers, 2);
  EXPECT_EQ(sender->gone[0].second, std::nullopt);
}

TEST_F(UploadTest, ARefusalForGoodMakesADeadLetterWithItsCode) {
  server_->sink.judge = [](const SignedEnvelope&) { return Fail(Code::kNormExceeded, "too large"); };
  const auto sender = Sender(device_);
  const SealedUpload upload = MakeSealed(world_, device_, 10'000);
  sender->Put(upload);
  ASSERT_TRUE(world_.RunUntil([&] { return !sender->gone.empty(); }));
  EXPECT_EQ(sender->gone[0].second, Code::kNormExceeded);
  EXPECT_EQ(sender->Spooled(), 0u);
  const auto letters = sender->spool().DeadLetters(10);
  ASSERT_TRUE(letters);
  ASSERT_EQ(letters->size(), 1u);
  EXPECT_EQ((*letters)[0].id, upload.header.subject.id);
  EXPECT_EQ((*letters)[0].reason, Code::kNormExceeded);
  EXPECT_EQ(server_->Refused(Code::kNormExceeded), 1u);
}

TEST_F(UploadTest, AnUpdateThatWasOvertakenLeavesNoDeadLetter) {
  server_->sink.judge = [](const SignedEnvelope&) { return Fail(Code::kStaleVersion, "the round is over"); };
  const auto sender = Sender(device_);
  sender->Put(MakeSealed(world_, device_, 10'000));
  ASSERT_TRUE(world_.RunUntil([&] { return !sender->gone.empty(); }));
  EXPECT_EQ(sender->gone[0].second, Code::kStaleVersion);
  const SpoolAccount account = sender->spool().Account();
  EXPECT_EQ(account.dead_letters, 0u);
  EXPECT_EQ(account.bytes + account.dead_bytes, 0u);
  EXPECT_EQ(account.of(UploadKind::kUpdate).dropped.at(Code::kStaleVersion), 1u);
  EXPECT_TRUE(account.Balances());
}

TEST_F(UploadTest, BytesThatAreBadInTheOutboxAreGivenUpAfterAFewTries) {
  const auto sender = Sender(device_);
  SealedUpload upload = MakeSealed(world_, device_, 100'000);
  sender->Put(upload);  // too large for the index: its payload is a file
  for (const auto& entry : std::filesystem::directory_iterator(world_.folder / "device-1-outbox" / "payloads")) {
    auto file = RealFileSystem().OpenForWrite(entry.path());
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->WriteAt(50'000, AsBytes("rotten")));
  }
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !sender->gone.empty(); }));
  EXPECT_EQ(sender->gone[0].second, Code::kDigestMismatch);
  EXPECT_EQ(server_->Refused(Code::kDigestMismatch), 3u);
  EXPECT_TRUE(server_->sink.complete.empty());
  EXPECT_EQ(sender->Spooled(), 0u);
  // The credit of what was refused halfway does not stay away.
  EXPECT_EQ((*server_)->counts().credit_in_use, 0u);
}

TEST_F(UploadTest, GoesOnWhereItWasAfterTheSenderRestarts) {
  StartServer(SmallCredit(2, 1));
  const SealedUpload upload = MakeSealed(world_, device_, 200'000);
  uint64_t sent = 0;
  {
    const auto sender = Sender(device_);
    sender->Put(upload);
    ASSERT_TRUE(world_.RunUntil([&] { return server_->sink.appended_bytes >= 20 * kChunk; }));
    EXPECT_TRUE(server_->sink.complete.empty());
    sent = sender->courier().counts().chunk_bytes;
  }
  const auto sender = Sender(device_);
  ASSERT_TRUE(world_.RunUntil([&] { return !sender->gone.empty(); }));
  EXPECT_EQ(server_->sink.complete.begin()->second.chunks, upload.chunks);
  EXPECT_EQ(server_->sink.appended_bytes, upload.header.ciphertext_size);  // no durable chunk came twice
  EXPECT_LE(sent + sender->courier().counts().chunk_bytes, upload.header.ciphertext_size + kChunk);
}

TEST_F(UploadTest, GoesOnWhereItWasAfterTheServerRestarts) {
  StartServer(SmallCredit(2, 1));
  const SealedUpload upload = MakeSealed(world_, device_, 200'000);
  const auto sender = Sender(device_);
  sender->Put(upload);
  ASSERT_TRUE(world_.RunUntil([&] { return server_->sink.appended_bytes >= 20 * kChunk; }));
  server_->Stop();
  server_->Start();
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !sender->gone.empty(); }));
  EXPECT_EQ(server_->sink.complete.begin()->second.chunks, upload.chunks);
  EXPECT_EQ(server_->sink.appended_bytes, upload.header.ciphertext_size);
  EXPECT_LE(sender->courier().counts().chunk_bytes, upload.header.ciphertext_size + kChunk);
  EXPECT_LE(sender->courier().counts().resent_bytes, kChunk);
}

// A device that dies in the middle of an upload, or whose upload was refused, must not keep credit from the others.
TEST_F(UploadTest, CreditThatIsNotUsedIsTakenBackWhateverElseIsHeard) {
  StartServer(SmallCredit(1, 1));
  const SealedUpload upload = MakeSealed(world_, device_, 100'000);
  const auto idle = Offered(upload);
  ASSERT_TRUE(idle->Await<hop::Credit>());
  ASSERT_EQ((*server_)->counts().credit_in_use, kChunk);
  const Identity other = world_.fleet.Issue(Role::kDevice, "device-2");
  const auto sender = Sender(other);
  sender->Put(MakeSealed(world_, other, 50'000));
  // It goes on checking in, as a device does that has nothing to send.
  ASSERT_TRUE(world_.RunUntilWithTime(
      [&] {
        if ((*server_)->counts().sessions == 2) idle->Send(hop::CheckIn{});
        return !sender->gone.empty();
      },
      Millis(20)));
  EXPECT_EQ(server_->Refused(Code::kTimeout), 1u);
  EXPECT_EQ(idle->AwaitRefused(), Code::kTimeout);
}

TEST_F(UploadTest, GoodbyeFreesTheSessionAndItsCredit) {
  const SealedUpload upload = MakeSealed(world_, device_, 100'000);
  const auto client = Offered(upload);
  ASSERT_TRUE(client->Await<hop::Credit>());
  ASSERT_GT((*server_)->counts().credit_in_use, 0u);
  client->Send(hop::Goodbye{});
  ASSERT_TRUE(world_.RunUntil([&] { return (*server_)->counts().sessions == 0; }));
  EXPECT_EQ((*server_)->counts().credit_in_use, 0u);
}

}  // namespace
}  // namespace tributary::upload_test

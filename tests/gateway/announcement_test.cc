#include "protocol/spool/spool_reader.h"
#include "protocol/trust/identity/revocation_list.h"
#include "tests/gateway/gateway_fixture.h"
#include "tests/support/must.h"

// The room that a gateway holds for members that only announce.
namespace tributary::gateway_announcement_test {
namespace {

class AnnouncementTest : public GatewayTest {
 protected:
  // Hears what becomes of offers.
  struct Answers final : HopClient::Part {
    void OnMessage(const hop::Message& message, ByteView) override {
      if (std::holds_alternative<hop::Resume>(message)) ++resumed;
      if (const auto* refused = std::get_if<hop::Refuse>(&message)) ++refusals[refused->refusal.code];
    }
    size_t resumed = 0;
    std::map<Code, size_t> refusals;
  };
  // A device that offers what it does not have.
  struct Liar {
    Liar(AnnouncementTest& test, const Gateway& gateway, const std::string& name)
        : identity(test.world_.fleet.Issue(Role::kDevice, name)),
          sender(test.world_, identity, test.world_.folder / name, test.Address(gateway)) {
      sender.client().AddPart(answers);
      sender.client().Start();
    }
    void Offer(HopWorld& world, UploadKind kind, uint64_t plaintext_size) {
      SealedUpload upload = MakeSealed(world, identity, 100, ModelVersion{3}, "digits", kind);
      UploadSubject& subject = upload.header.subject;
      subject.plaintext_size = plaintext_size;
      subject.chunk_size = 256 * limits::kKiB;
      subject.chunk_count = static_cast<uint32_t>(ChunksFor(plaintext_size, subject.chunk_size));
      upload.header.ciphertext_size = plaintext_size + subject.chunk_count * limits::kSealTagBytes;
      sender.client().Send(hop::Offer{SignEnvelope(upload.header, identity.key, identity.chain)});
    }
    Identity identity;
    TestSender sender;
    Answers answers;
  };
  Bytes Publish(uint64_t number, const std::vector<const Identity*>& revoked) {
    Publication publication = PublicationOf(world_, MakePublication(world_, upstream_.blobs, number, ModelVersion{3}));
    std::set<std::string> serials;
    for (const Identity* member : revoked)
      serials.insert(Must(world_.fleet.anchor().Verify(member->chain, world_.clock.Now())).serial);
    publication.revocations = RevocationsToPem(
        {}, Must(SignRevocations(world_.fleet.authority(), number, serials, world_.clock.Now(), Millis(86'400'000))));
    return world_.fleet.Publish(publication);
  }
  SpoolAccount Account() const {
    return Must(Must(SpoolReader::Open(options_.data_dir / "spool", RealFileSystem()))->Account());
  }
};

constexpr uint64_t kHuge = 3'200 * limits::kMiB;

TEST_F(AnnouncementTest, TheySeizeNoRoomAndGoWithinAnHour) {
  const Running gateway(Open());
  upstream_->Publish(Publish(1, {}), 1, 1);
  Liar one(*this, *gateway, "device-1"), two(*this, *gateway, "device-2");
  const auto ready = [&] { return one.sender.client().up() && two.sender.client().up() && Account().devices == 0; };
  ASSERT_TRUE(world_.RunUntilWithTime(ready));
  ASSERT_TRUE(world_.RunUntilWithTime([&] {
    return ReadFile(RealFileSystem(), options_.data_dir / "relay" / "publication.bin", 1 << 20).has_value();
  }));
  // No update of this task is that long.
  one.Offer(world_, UploadKind::kUpdate, kHuge);
  ASSERT_TRUE(world_.RunUntil([&] { return one.answers.refusals[Code::kTooLarge] == 1; }));
  for (Liar* liar : {&one, &two, &one, &two, &one}) liar->Offer(world_, UploadKind::kSample, kHuge);
  ASSERT_TRUE(world_.RunUntil([&] { return one.answers.resumed + two.answers.resumed == 5; }));
  EXPECT_EQ(Account().bytes, 5 * (256 * limits::kKiB + limits::kSealTagBytes));
  world_.clock.Advance(std::chrono::minutes(61));
  EXPECT_TRUE(world_.RunUntilWithTime([&] { return Account().bytes == 0; }, Millis(1'000)));
}

TEST_F(AnnouncementTest, ThoseOfARevokedMemberGoAtOnce) {
  const Running gateway(Open());
  upstream_->Publish(Publish(1, {}), 1, 1);
  Liar bad(*this, *gateway, "device-bad"), good(*this, *gateway, "device-good");
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return bad.sender.client().up() && good.sender.client().up(); }));
  const auto partial = [&] { return Account().of(UploadKind::kSample).in_flight; };
  for (Liar* liar : {&bad, &good}) {
    ASSERT_TRUE(world_.RunUntilWithTime([&] {
      if (liar->answers.resumed == 0) liar->Offer(world_, UploadKind::kSample, kHuge);
      return liar->answers.resumed > 0;
    }));
  }
  EXPECT_GE(partial(), 2u);
  upstream_->Publish(Publish(2, {&bad.identity}), 2, 1);
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return Account().devices == 1; }));
  EXPECT_GE(Account().of(UploadKind::kSample).dropped.at(Code::kRevokedCertificate), 1u);
  EXPECT_GE(partial(), 1u);
}

}  // namespace
}  // namespace tributary::gateway_announcement_test

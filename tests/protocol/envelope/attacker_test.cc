// The rows of the trust table (SECURITY.md) that end at an upload's envelope: each test plays the attacker, with what
// he has, and says where he ends.
#include <gtest/gtest.h>

#include "protocol/envelope/open_upload.h"
#include "protocol/trust/identity/revocation_list.h"
#include "protocol/trust/seal/digest.h"
#include "tests/protocol/envelope/small_upload.h"
#include "tests/support/must.h"

namespace tributary::attacker_test {
namespace {

class AttackerTest : public testing::Test {
 protected:
  static Bytes Plaintext(uint8_t first) {
    Bytes bytes = SeededRandom(first).TakeBytes(3 * kSmallChunk - 100);
    bytes[0] = first;
    return bytes;
  }
  SealedUpload Seal(const UploadSubject& subject, const Identity& by, uint8_t first = 1) const {
    return Must(SealUpload(subject, Plaintext(first), kSmallChunk, {kDefaultAead, fleet_.sealing_key().public_key},
                           by.key, by.chain));
  }
  // The verdict on its envelope of whoever takes an upload in.
  std::string Taken(const Bytes& envelope, WallTime now = kTestStart) const {
    const auto parsed = ParseEnvelope(envelope);
    return parsed ? Outcome(VerifyEnvelope(*parsed, fleet_.anchor(), now)) : Outcome(parsed);
  }
  std::string Taken(const UploadHeader& header, const Identity& by) const { return Taken(Signed(header, by)); }
  // The aggregator's verdict when it opens `chunks` under `header`.
  std::string Opened(const UploadHeader& header, const std::vector<Bytes>& chunks) const {
    auto opener = UploadOpener::Begin(header, fleet_.sealing_key());
    if (!opener) return Outcome(opener);
    Bytes out(kSmallChunk);
    for (const Bytes& chunk : chunks) {
      if (const auto opened = opener->OpenChunk(chunk, out); !opened) return Outcome(opened);
    }
    return "ok";
  }
  // A header that fits these chunks again, as somebody who may sign makes it.
  static UploadHeader Fitted(UploadHeader header, const std::vector<Bytes>& chunks) {
    Sha256Stream stream;
    for (const Bytes& chunk : chunks) stream.Update(chunk);
    header.ciphertext_digest = std::move(stream).Finish();
    return header;
  }

  const TestFleet fleet_;
  const Identity victim_ = fleet_.Issue(Role::kDevice, "device-1");
  const Identity attacker_ = fleet_.Issue(Role::kDevice, "device-9");
  const SealedUpload upload_ = Seal(SmallSubject("device-1"), victim_);
};

TEST_F(AttackerTest, TheHonestUploadIsTakenAndOpened) {
  EXPECT_EQ(Taken(upload_.envelope), "ok");
  EXPECT_EQ(Opened(upload_.header, upload_.chunks), "ok");
}

// A gateway, or who recorded a disk, sends the upload a second time. The envelope is the very same, so it has the same
// id, by which the aggregator knows that it has it; with another id, task or version it is no upload of the device.
TEST_F(AttackerTest, ReplayedUpload) {
  const auto parsed = Must(ParseEnvelope(upload_.envelope));
  EXPECT_EQ(parsed.header.subject.id, upload_.header.subject.id);
  UploadHeader renamed = upload_.header;
  renamed.subject.id = SeededRandom(99).TakeUploadId();
  auto forged = parsed;
  forged.header_bytes = Must(ParseEnvelope(Signed(renamed, attacker_))).header_bytes;
  forged.header = renamed;
  EXPECT_EQ(Outcome(VerifyEnvelope(forged, fleet_.anchor(), kTestStart)), "bad-signature");
  // And signed by a member of the fleet that he is himself: still not the victim's.
  EXPECT_EQ(Taken(renamed, attacker_), "wrong-identity");
}

// Another device's contribution, made up.
TEST_F(AttackerTest, ForgedUpdate) {
  const SealedUpload own = Seal(SmallSubject("device-1"), attacker_, 2);
  EXPECT_EQ(Taken(own.envelope), "wrong-identity");
  EXPECT_EQ(Taken(SignEnvelope(own.header, attacker_.key, victim_.chain)), "bad-signature");
  // The victim's whole header with the attacker's payload: taken on, since only its ciphertext's digest is to be seen
  // there; the receiver finds that the bytes have another.
  EXPECT_NE(Fitted(upload_.header, own.chunks).ciphertext_digest, upload_.header.ciphertext_digest);
  EXPECT_EQ(Opened(upload_.header, own.chunks), "seal-broken");
}

// Who can sign takes the victim's ciphertext, which he cannot read, for a contribution of his own, to count it twice or
// in another place. The payload is bound to the header that it was sealed under.
TEST_F(AttackerTest, UploadOfAnotherTakenForOnesOwn) {
  UploadHeader stolen = upload_.header;
  stolen.subject.device = attacker_.subject.id;
  EXPECT_EQ(Taken(stolen, attacker_), "ok") << "it is his header, after all";
  EXPECT_EQ(Opened(stolen, upload_.chunks), "seal-broken");
}

TEST_F(AttackerTest, UploadMovedToAnotherTaskOrVersion) {
  for (const bool task : {true, false}) {
    UploadHeader moved = upload_.header;
    if (task) {
      moved.subject.task = TestTask("letters");
    } else {
      moved.subject.base_version = ModelVersion{4};
    }
    auto forged = Must(ParseEnvelope(upload_.envelope));
    forged.header_bytes = Must(ParseEnvelope(Signed(moved, attacker_))).header_bytes;
    forged.header = moved;
    EXPECT_EQ(Outcome(VerifyEnvelope(forged, fleet_.anchor(), kTestStart)), "bad-signature");
    // Even the device itself cannot move what it sealed.
    EXPECT_EQ(Taken(moved, victim_), "ok");
    EXPECT_EQ(Opened(moved, upload_.chunks), "seal-broken");
  }
}

// Chunks in another order, twice, left out, or of another upload of the same device: with a digest that fits, as the
// device itself could make it.
TEST_F(AttackerTest, ChunkSwap) {
  const std::vector<Bytes>& good = upload_.chunks;
  ASSERT_EQ(good.size(), 3u);
  UploadSubject other_subject = SmallSubject("device-1");
  other_subject.id = SeededRandom(12).TakeUploadId();
  const SealedUpload other = Seal(other_subject, victim_);
  for (const std::vector<Bytes>& swapped :
       {std::vector<Bytes>{good[1], good[0], good[2]}, std::vector<Bytes>{good[0], good[0], good[2]},
        std::vector<Bytes>{good[0], other.chunks[1], good[2]},
        std::vector<Bytes>{other.chunks[0], other.chunks[1], other.chunks[2]}}) {
    EXPECT_EQ(Opened(Fitted(upload_.header, swapped), swapped), "seal-broken");
  }
  EXPECT_EQ(Opened(upload_.header, {good[0], good[2]}), "chunk-out-of-order") << "the last has another size";
  EXPECT_EQ(Opened(upload_.header, {good[0], good[1], good[2], good[2]}), "chunk-out-of-order");
}

TEST_F(AttackerTest, CertificateOfAnotherFleet) {
  const TestFleet other;  // of the same name
  const Identity stranger = other.Issue(Role::kDevice, "device-1");
  EXPECT_EQ(Taken(Seal(SmallSubject("device-1"), stranger).envelope), "unknown-certificate");
  // With our CA's certificate shown behind it, as if that had issued it.
  const std::vector<Bytes> chain = {stranger.chain.front(), fleet_.authority().certificate().der};
  EXPECT_EQ(Taken(SignEnvelope(upload_.header, stranger.key, chain)), "unknown-certificate");
}

TEST_F(AttackerTest, CertificateThatADeviceIssued) {
  const auto own_ca = CertificateAuthority::Create("test fleet", kTestStart, kTestLifetime);
  const SigningKey key = SigningKey::Generate();
  const Certificate leaf = Must(own_ca.Issue(victim_.subject, key.public_key(), kTestStart, kTestLifetime));
  for (const Bytes& above : {attacker_.chain.front(), own_ca.certificate().der}) {
    const std::vector<Bytes> chain = {leaf.der, above};
    EXPECT_EQ(Taken(SignEnvelope(upload_.header, key, chain)), "unknown-certificate");
  }
}

TEST_F(AttackerTest, Expired) {
  EXPECT_EQ(Taken(upload_.envelope, kTestStart + kTestLifetime), "expired-certificate");
  // Also when it was seen and remembered while it was valid.
  EXPECT_EQ(Taken(upload_.envelope), "ok");
  EXPECT_EQ(Taken(upload_.envelope, kTestStart + kTestLifetime), "expired-certificate");
  EXPECT_EQ(Taken(upload_.envelope, kTestStart + Millis(-1000)), "expired-certificate");
}

// Uploads that a revoked device had sent before, and that lie in spools, are refused as well.
TEST_F(AttackerTest, Revoked) {
  EXPECT_EQ(Taken(upload_.envelope), "ok");
  const Bytes crl =
      Must(SignRevocations(fleet_.authority(), 1, {SerialNumber({victim_.chain.front()})}, kTestStart, kTestLifetime));
  const std::string pem = RevocationsToPem({}, crl);
  TrustAnchor anchor = fleet_.anchor();
  anchor.Revoke(Must(ReadRevocations(pem, anchor)));
  EXPECT_EQ(Taken(upload_.envelope), "revoked-certificate");
  EXPECT_EQ(Taken(Seal(SmallSubject("device-9"), attacker_).envelope), "ok");
}

TEST_F(AttackerTest, WrongRole) {
  for (const Role role : {Role::kEvaluator, Role::kGateway, Role::kAggregator}) {
    const Identity member = fleet_.Issue(role, "device-1");
    EXPECT_EQ(Taken(Seal(SmallSubject("device-1"), member).envelope), "wrong-role") << RoleName(role);
  }
}

// A gateway has everything but the key: it sees sizes and names, and no byte of the payload.
TEST_F(AttackerTest, PayloadReadOnTheWay) {
  const Bytes plaintext = Plaintext(1);
  for (const Bytes& chunk : upload_.chunks) {
    for (size_t at = 0; at + 16 <= plaintext.size(); at += 16) {
      const auto part = AsText(ByteView(plaintext).subspan(at, 16));
      ASSERT_EQ(AsText(chunk).find(part), std::string_view::npos) << at;
    }
  }
  const HpkeKeyPair other = GenerateHpkeKeyPair();
  UploadHeader header = upload_.header;
  header.subject.key_id = HpkeKeyId(other.public_key);
  auto opener = Must(UploadOpener::Begin(header, other));
  Bytes out(kSmallChunk);
  EXPECT_EQ(Outcome(opener.OpenChunk(upload_.chunks[0], out)), "seal-broken");
}

}  // namespace
}  // namespace tributary::attacker_test

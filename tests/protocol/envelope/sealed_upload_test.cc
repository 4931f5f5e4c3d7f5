#include <rapidcheck.h>

#include <gtest/gtest.h>

#include "protocol/envelope/open_upload.h"
#include "protocol/trust/seal/digest.h"
#include "tests/protocol/envelope/small_upload.h"

namespace tributary::sealed_upload_test {
namespace {

class SealedUploadTest : public testing::Test {
 protected:
  SealedUpload Seal(ByteView plaintext, UploadSubject subject = SmallSubject(), HpkeAead aead = kDefaultAead) const {
    const SealingTarget target{aead, fleet_.sealing_key().public_key};
    auto upload = SealUpload(std::move(subject), plaintext, kSmallChunk, target, device_.key, device_.chain);
    TRIBUTARY_CHECK(upload.has_value()) << upload.error().ToString();
    return std::move(*upload);
  }

  // All chunks in the given order under the header, one behind the other; the first refusal ends it.
  Result<Bytes> Open(const UploadHeader& header, std::span<const Bytes> chunks) const {
    ASSIGN_OR_RETURN(UploadOpener opener, UploadOpener::Begin(header, fleet_.sealing_key()));
    Bytes plaintext;
    Bytes buffer(header.subject.chunk_size);
    for (const Bytes& chunk : chunks) {
      ASSIGN_OR_RETURN(const size_t size, opener.OpenChunk(chunk, buffer));
      Append(plaintext, ByteView(buffer).first(size));
    }
    return plaintext;
  }

  const TestFleet fleet_;
  const Identity device_ = fleet_.Issue(Role::kDevice, "device-1");
  const Bytes three_chunks_ = SeededRandom(5).TakeBytes(2 * kSmallChunk + 100);
};

TEST_F(SealedUploadTest, OpensToWhatWasSealed) {
  EXPECT_TRUE(rc::check("open(seal(x)) == x for every length and AEAD", [this] {
    const Bytes plaintext = SeededRandom(1).TakeBytes(*rc::gen::inRange<size_t>(0, 4 * kSmallChunk));
    const auto aead = static_cast<HpkeAead>(*rc::gen::inRange(1, 4));
    const SealedUpload upload = Seal(plaintext, SmallSubject(), aead);
    RC_ASSERT(Open(upload.header, upload.chunks).value() == plaintext);
  }));
}

TEST_F(SealedUploadTest, ChunkBordersAreWhereTheHeaderSays) {
  for (const size_t size :
       {size_t{0}, size_t{1}, size_t{kSmallChunk - 1}, size_t{kSmallChunk}, size_t{kSmallChunk + 1}}) {
    const SealedUpload upload = Seal(SeededRandom(2).TakeBytes(size));
    ASSERT_EQ(upload.chunks.size(), size > kSmallChunk ? 2u : 1u) << size;
    for (uint32_t i = 0; i < upload.chunks.size(); ++i) {
      EXPECT_EQ(upload.chunks[i].size(), upload.header.ciphertext_chunk_size(i)) << size;
    }
    EXPECT_EQ(upload.header.ciphertext_size, size + 16 * upload.chunks.size());
  }
}

TEST_F(SealedUploadTest, TheEnvelopeVerifiesAndNamesTheCiphertext) {
  const SealedUpload upload = Seal(three_chunks_);
  const auto envelope = ParseEnvelope(upload.envelope);
  ASSERT_TRUE(envelope) << envelope.error().ToString();
  EXPECT_EQ(envelope->header, upload.header);
  EXPECT_TRUE(VerifyEnvelope(*envelope, fleet_.anchor(), kTestStart));
  Bytes all;
  for (const Bytes& chunk : upload.chunks) Append(all, chunk);
  EXPECT_EQ(Sha256(all), upload.header.ciphertext_digest);
}

TEST_F(SealedUploadTest, SwappedDroppedRepeatedChunksDoNotOpen) {
  const SealedUpload upload = Seal(three_chunks_);
  const auto& chunks = upload.chunks;
  EXPECT_EQ(Outcome(Open(upload.header, std::vector<Bytes>{chunks[1], chunks[0], chunks[2]})), "seal-broken");
  EXPECT_EQ(Outcome(Open(upload.header, std::vector<Bytes>{chunks[1]})), "seal-broken");
  EXPECT_EQ(Outcome(Open(upload.header, std::vector<Bytes>{chunks[0], chunks[0]})), "seal-broken");
  EXPECT_EQ(Outcome(Open(upload.header, std::vector<Bytes>{chunks[0], chunks[2]})),
            "chunk-out-of-order");  // another size
  EXPECT_EQ(Outcome(Open(upload.header, std::vector<Bytes>{chunks[0], chunks[1], chunks[2], chunks[2]})),
            "chunk-out-of-order");
}

TEST_F(SealedUploadTest, AChunkOfAnotherUploadDoesNotOpen) {
  const SealedUpload upload = Seal(three_chunks_);
  UploadSubject other_subject = SmallSubject();
  other_subject.base_version = Next(other_subject.base_version);
  const SealedUpload other = Seal(three_chunks_, other_subject);
  EXPECT_EQ(Outcome(Open(upload.header, std::vector<Bytes>{upload.chunks[0], other.chunks[1]})), "seal-broken");
  // With the other's key but this subject, only the associated data stands between them.
  UploadHeader mixed = other.header;
  mixed.subject = upload.header.subject;
  EXPECT_EQ(Outcome(Open(mixed, other.chunks)), "seal-broken");
}

TEST_F(SealedUploadTest, EveryFieldOfTheSubjectIsBoundToTheChunks) {
  const SealedUpload upload = Seal(three_chunks_);
  const auto opened_after = [&](auto change) {
    UploadHeader header = upload.header;
    change(header.subject);
    return Outcome(Open(header, std::span(upload.chunks).first(1)));
  };
  EXPECT_EQ(opened_after([](UploadSubject&) {}), "ok");
  EXPECT_EQ(opened_after([](UploadSubject& subject) { subject.id.mutable_view()[0] ^= 1; }), "seal-broken");
  EXPECT_EQ(opened_after([](UploadSubject& subject) { subject.kind = UploadKind::kSample; }), "seal-broken");
  EXPECT_EQ(opened_after([](UploadSubject& subject) { subject.task = TestTask("other"); }), "seal-broken");
  EXPECT_EQ(opened_after([](UploadSubject& subject) { subject.device = TestDevice("other"); }), "seal-broken");
  EXPECT_EQ(opened_after([](UploadSubject& subject) { subject.created.unix_millis += 1; }), "seal-broken");
  EXPECT_EQ(opened_after([](UploadSubject& subject) { subject.expires.unix_millis += 1; }), "seal-broken");
  EXPECT_EQ(opened_after([](UploadSubject& subject) { subject.priority = Priority::kControl; }), "seal-broken");
  EXPECT_EQ(opened_after([](UploadSubject& subject) { subject.codec = Codec::kRecord; }), "seal-broken");
  EXPECT_EQ(opened_after([](UploadSubject& subject) { subject.plaintext_size += 1; }), "seal-broken");
  EXPECT_EQ(opened_after([](UploadSubject& subject) { subject.chunk_count += 1; }), "seal-broken");
  EXPECT_EQ(opened_after([](UploadSubject& subject) { subject.aead = HpkeAead::kChaCha20Poly1305; }), "seal-broken");
}

TEST_F(SealedUploadTest, EveryFlippedByteOfAChunkIsNoticedAndTheRightChunkStillOpens) {
  const SealedUpload upload = Seal(SeededRandom(3).TakeBytes(64));
  auto opener = UploadOpener::Begin(upload.header, fleet_.sealing_key()).value();
  Bytes buffer(kSmallChunk);
  for (size_t i = 0; i < upload.chunks[0].size(); ++i) {
    Bytes bent = upload.chunks[0];
    bent[i] ^= 0x10;
    EXPECT_EQ(Outcome(opener.OpenChunk(bent, buffer)), "seal-broken") << i;
  }
  EXPECT_EQ(opener.OpenChunk(upload.chunks[0], buffer).value(), 64u);
}

TEST_F(SealedUploadTest, AnotherKeyIsNamed) {
  const SealedUpload upload = Seal(three_chunks_);
  EXPECT_EQ(Outcome(UploadOpener::Begin(upload.header, GenerateHpkeKeyPair())), "unknown-key");
}

TEST_F(SealedUploadTest, WhatNoReceiverWouldTakeIsNotSealed) {
  const SealingTarget target{kDefaultAead, fleet_.sealing_key().public_key};
  const auto sealed = [&](const UploadSubject& subject, size_t size, uint32_t chunk, const SealingTarget& to) {
    return Outcome(SealUpload(subject, Bytes(size), chunk, to, device_.key, device_.chain));
  };
  EXPECT_EQ(sealed(SmallSubject(), 10, kSmallChunk, target), "ok");
  EXPECT_EQ(sealed(SmallSubject(), 10, 0, target), "invalid-argument");
  EXPECT_EQ(sealed(SmallSubject(), 10, limits::kMaxChunkBytes + 1, target), "too-large");
  EXPECT_EQ(sealed(SmallSubject("device-1", UploadKind::kDeviceState), limits::kRecordBytes + 1, kSmallChunk, target),
            "too-large");
  EXPECT_EQ(sealed(SmallSubject(), 10, kSmallChunk, {kDefaultAead, Bytes(31)}), "invalid-argument");
  EXPECT_EQ(sealed(SmallSubject(), 10, kSmallChunk, {HpkeAead{9}, target.public_key}), "invalid-argument");
  UploadSubject mixed = SmallSubject();
  mixed.codec = Codec::kRecord;
  EXPECT_EQ(sealed(mixed, 10, kSmallChunk, target), "invalid-argument");
}

}  // namespace
}  // namespace tributary::sealed_upload_test

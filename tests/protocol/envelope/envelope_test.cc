#include "protocol/envelope/envelope.h"

#include <rapidcheck.h>

#include <functional>

#include <gtest/gtest.h>

#include "tests/protocol/envelope/small_upload.h"

namespace tributary::envelope_test {
namespace {

class EnvelopeTest : public testing::Test {
 protected:
  static std::string Verified(const Bytes& bytes, const TrustAnchor& anchor, WallTime now = kTestStart) {
    const auto envelope = ParseEnvelope(bytes);
    return envelope ? Outcome(VerifyEnvelope(*envelope, anchor, now)) : "parse: " + Outcome(envelope);
  }

  // A receiver's verdict on the small header after `change`.
  std::string ParsedAfter(const std::function<void(UploadHeader&)>& change) const {
    UploadHeader header = SmallHeader();
    change(header);
    return Outcome(ParseEnvelope(Signed(header, device_)));
  }

  const TestFleet fleet_;
  const Identity device_ = fleet_.Issue(Role::kDevice, "device-1");
};

TEST_F(EnvelopeTest, ComesBackAsItWasSigned) {
  const UploadHeader header = SmallHeader();
  const Bytes bytes = Signed(header, device_);
  const auto envelope = ParseEnvelope(bytes);
  ASSERT_TRUE(envelope) << envelope.error().ToString();
  EXPECT_EQ(envelope->header, header);
  EXPECT_EQ(envelope->bytes, bytes);
  EXPECT_EQ(envelope->chain, device_.chain);
  const auto signer = VerifyEnvelope(*envelope, fleet_.anchor(), kTestStart);
  ASSERT_TRUE(signer) << signer.error().ToString();
  EXPECT_EQ(signer->subject.id, header.subject.device);
}

TEST_F(EnvelopeTest, HeaderHasItsKnownBytes) {
  const auto envelope = ParseEnvelope(Signed(SmallHeader(), device_));
  ASSERT_TRUE(envelope);
  // `capnp convert canonical:json protocol/schema/envelope.capnp Header` shows what they say.
  EXPECT_EQ(ToHex(envelope->header_bytes),
            "0000000001000300f8030000000000000800000006000400450000000201000051000000020100000101010002000000"
            "030000000000000000a8da769b0100000000000000000000e80300000000000000100000010000000d00000082000000"
            "110000003a000000110000004a0000001500000042000000d70d3259e4e1cb631c663cf4d73c4c046469676974730000"
            "6465766963652d3100000000000000000000000000000000363695efb051569e01787d4764a1a89c017ee6154e3a64b0"
            "b4bddd0ddbb73e89646070befe52afae62eaaf875e8a2dc0b689b544e52bec4360603197d68ce9c8");
  EXPECT_EQ(SubjectDigest(SmallHeader().subject).hex(),
            "b6a26cdc07875db5349b91d928ef8eb1e8bad461318347fbe4223f8fd8906924");
  EXPECT_EQ(ToHex(ChunkAssociatedData(Digest(), 1, 0x0203)), std::string(64, '0') + "0100000003020000");
  EXPECT_EQ(AsText(SealingInfo()), "tributary upload v1");
}

TEST_F(EnvelopeTest, EveryHeaderWithinTheLimitsComesBack) {
  EXPECT_TRUE(rc::check("parse(sign(header)).header == header", [this] {
    UploadSubject subject = SmallSubject();
    subject.id = SeededRandom(*rc::gen::arbitrary<uint64_t>()).TakeUploadId();
    subject.base_version = ModelVersion{*rc::gen::arbitrary<uint64_t>()};
    subject.created.unix_millis = *rc::gen::nonNegative<int64_t>();
    subject.expires.unix_millis = *rc::gen::nonNegative<int64_t>();
    subject.priority = static_cast<Priority>(*rc::gen::inRange(0, 5));
    subject.aead = static_cast<HpkeAead>(*rc::gen::inRange(1, 4));
    UploadHeader header = SmallHeader(subject);
    auto& sized = header.subject;
    sized.plaintext_size = *rc::gen::inRange<uint64_t>(0, limits::kPayloadBytes + 1);
    sized.chunk_size = *rc::gen::inRange<uint32_t>(limits::kMinChunkBytes, limits::kMaxChunkBytes + 1);
    sized.chunk_count =
        static_cast<uint32_t>(std::max<uint64_t>(1, (sized.plaintext_size + sized.chunk_size - 1) / sized.chunk_size));
    header.ciphertext_size = sized.plaintext_size + 16ull * sized.chunk_count;
    const auto envelope = ParseEnvelope(Signed(header, device_));
    RC_ASSERT(envelope.has_value());
    RC_ASSERT(envelope->header == header);
    const uint32_t last = sized.chunk_count - 1;
    const uint64_t before = uint64_t{last} * header.ciphertext_chunk_size(0);
    RC_ASSERT(before + header.ciphertext_chunk_size(last) == header.ciphertext_size);
  }));
}

TEST_F(EnvelopeTest, SizesThatContradictEachOtherAreMalformed) {
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) { header.subject.chunk_count = 0; }), "malformed");
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) { header.subject.chunk_count = 2; }), "malformed");
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) { header.subject.plaintext_size += 1; }), "malformed");
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) { header.ciphertext_size += 1; }), "malformed");
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) { header.subject.chunk_size = kSmallChunk - 1; }), "malformed");
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) { header.subject.chunk_size = 0; }), "malformed");
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) { header.subject.plaintext_size = 0; }), "malformed");
}

TEST_F(EnvelopeTest, SizesOverTheLimitsAreTooLarge) {
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) { header.subject.plaintext_size = limits::kPayloadBytes + 1; }),
            "too-large");
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) { header.subject.plaintext_size = UINT64_MAX; }), "too-large");
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) { header.subject.chunk_size = limits::kMaxChunkBytes + 1; }),
            "too-large");
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) {
              header = SmallHeader(SmallSubject("device-1", UploadKind::kEvaluation));
              header.subject.plaintext_size = limits::kRecordBytes + 1;
            }),
            "too-large");
  EXPECT_EQ(Outcome(ParseEnvelope(Bytes(limits::kEnvelopeBytes + 8))), "too-large");
}

TEST_F(EnvelopeTest, NumbersThisVersionDoesNotKnowHaveTheirCodes) {
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) { header.subject.kind = UploadKind{9}; }), "unknown-kind");
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) { header.subject.kind = UploadKind{0}; }), "unknown-kind");
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) { header.subject.codec = Codec{77}; }), "unknown-codec");
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) { header.subject.codec = Codec::kRecord; }), "malformed");
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) { header.subject.aead = HpkeAead{4}; }), "malformed");
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) { header.subject.priority = Priority{5}; }), "malformed");
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) { header.encapsulated_key.pop_back(); }), "malformed");
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) { header.subject.created.unix_millis = -1; }), "malformed");
  EXPECT_EQ(ParsedAfter([](UploadHeader& header) { header.subject.task = TaskId(); }), "malformed");
}

TEST_F(EnvelopeTest, ChainsOutsideTheLimitsAreRefused) {
  const UploadHeader header = SmallHeader();
  const auto with_chain = [&](const std::vector<Bytes>& chain) {
    return Outcome(ParseEnvelope(SignEnvelope(header, device_.key, chain)));
  };
  EXPECT_EQ(with_chain({}), "malformed");
  EXPECT_EQ(with_chain(std::vector<Bytes>(limits::kCertificateChain + 1, device_.chain[0])), "too-large");
  EXPECT_EQ(with_chain({Bytes(limits::kCertificateBytes + 1)}), "too-large");
  EXPECT_EQ(Verified(SignEnvelope(header, device_.key, std::vector<Bytes>{{1, 2, 3}}), fleet_.anchor()), "malformed");
}

TEST_F(EnvelopeTest, OnlyTheCertificatesOwnKeySigns) {
  const Identity other = fleet_.Issue(Role::kDevice, "device-2");
  const Bytes forged = SignEnvelope(SmallHeader(), other.key, device_.chain);
  EXPECT_EQ(Verified(forged, fleet_.anchor()), "bad-signature");
}

TEST_F(EnvelopeTest, ASignatureWithoutTheDomainIsRefused) {
  auto envelope = ParseEnvelope(Signed(SmallHeader(), device_)).value();
  envelope.signature = device_.key.Sign(envelope.header_bytes);
  EXPECT_EQ(Outcome(VerifyEnvelope(envelope, fleet_.anchor(), kTestStart)), "bad-signature");
}

TEST_F(EnvelopeTest, AnotherFleetsCertificateIsUnknown) {
  const TestFleet other;
  EXPECT_EQ(Verified(Signed(SmallHeader(), device_), other.anchor()), "unknown-certificate");
}

TEST_F(EnvelopeTest, RolesDecideWhatMayBeSent) {
  const auto sent_by = [&](Role role, UploadKind kind) {
    const Identity identity = fleet_.Issue(role, "member-1");
    return Verified(Signed(SmallHeader(SmallSubject("member-1", kind)), identity), fleet_.anchor());
  };
  EXPECT_EQ(sent_by(Role::kDevice, UploadKind::kUpdate), "ok");
  EXPECT_EQ(sent_by(Role::kDevice, UploadKind::kEvaluation), "ok");
  EXPECT_EQ(sent_by(Role::kEvaluator, UploadKind::kEvaluation), "ok");
  EXPECT_EQ(sent_by(Role::kEvaluator, UploadKind::kUpdate), "wrong-role");
  EXPECT_EQ(sent_by(Role::kGateway, UploadKind::kUpdate), "wrong-role");
  EXPECT_EQ(sent_by(Role::kAggregator, UploadKind::kDeviceState), "wrong-role");
}

TEST_F(EnvelopeTest, NobodySpeaksForAnother) {
  EXPECT_EQ(Verified(Signed(SmallHeader(SmallSubject("device-2")), device_), fleet_.anchor()), "wrong-identity");
}

TEST_F(EnvelopeTest, TimesAreCheckedAgainstTheReceiversClock) {
  UploadSubject subject = SmallSubject();
  subject.expires = kTestStart + Millis(1000);
  const Bytes bytes = Signed(SmallHeader(subject), device_);
  EXPECT_EQ(Verified(bytes, fleet_.anchor(), kTestStart + Millis(999)), "ok");
  EXPECT_EQ(Verified(bytes, fleet_.anchor(), kTestStart + Millis(1000)), "expired");
  subject.expires = kTestStart + Millis(limits::kFarFutureMillis + 1);
  EXPECT_EQ(Verified(Signed(SmallHeader(subject), device_), fleet_.anchor()), "malformed");
  EXPECT_EQ(Verified(Signed(SmallHeader(), device_), fleet_.anchor(), kTestStart + 2 * kTestLifetime),
            "expired-certificate");
}

}  // namespace
}  // namespace tributary::envelope_test

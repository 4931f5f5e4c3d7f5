#include "protocol/trust/identity/enrolment_request.h"

#include <gtest/gtest.h>

#include "protocol/base/limits.h"
#include "protocol/trust/seal/opener.h"
#include "tests/support/must.h"
#include "tests/support/test_fleet.h"

namespace tributary::enrolment_request_test {
namespace {

constexpr std::string_view kToken = "tri_0123456789abcdef";

SealingTarget TargetOf(const TestFleet& fleet) { return {kDefaultAead, fleet.sealing_key().public_key}; }

EnrolmentRequest WithToken(const SigningKey& key) {
  EnrolmentRequest request;
  request.certificate_request = Must(MakeCertificateRequest(key, TestDevice("d1"), GenerateCurveKeyPair().public_key));
  request.created = kTestStart;
  request.authority = SecretBytes::CopyOf(AsBytes(kToken));
  return request;
}

Result<EnrolmentRequest> Open(const Bytes& bytes, const HpkeKeyPair& key) {
  ASSIGN_OR_RETURN(const SealedEnrolment sealed, DecodeSealedEnrolment(bytes));
  ASSIGN_OR_RETURN(HpkeOpener opener,
                   HpkeOpener::FromSender(sealed.aead, key, ByteView(sealed.sealed).first(32), EnrolmentInfo()));
  ASSIGN_OR_RETURN(const Bytes plaintext, opener.Open({}, ByteView(sealed.sealed).subspan(32)));
  return DecodeEnrolment(plaintext);
}

TEST(EnrolmentRequest, ArrivesAsItWasSealed) {
  const TestFleet fleet;
  const EnrolmentRequest request = WithToken(SigningKey::Generate());
  const auto opened = Open(Must(SealEnrolment(request, TargetOf(fleet))), fleet.sealing_key());
  ASSERT_TRUE(opened) << opened.error().ToString();
  EXPECT_EQ(opened->certificate_request, request.certificate_request);
  EXPECT_EQ(opened->created, request.created);
  EXPECT_EQ(AsText(std::get<SecretBytes>(opened->authority).RevealForUse()), kToken);
}

TEST(EnrolmentRequest, HidesTheTokenFromGateways) {
  const TestFleet fleet;
  const Bytes sealed = Must(SealEnrolment(WithToken(SigningKey::Generate()), TargetOf(fleet)));
  EXPECT_EQ(AsText(sealed).find(kToken), std::string_view::npos);
  EXPECT_EQ(AsText(sealed).find("urn:tributary:id:d1"), std::string_view::npos);
  const auto opened = Open(sealed, GenerateHpkeKeyPair());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kSealBroken);
}

TEST(EnrolmentRequest, NamesTheKeyItIsSealedTo) {
  const TestFleet fleet;
  const Bytes sealed = Must(SealEnrolment(WithToken(SigningKey::Generate()), TargetOf(fleet)));
  EXPECT_EQ(Must(DecodeSealedEnrolment(sealed)).key_id, HpkeKeyId(fleet.sealing_key().public_key));
}

TEST(EnrolmentRequest, ARenewalIsSignedByTheCertificatesKey) {
  const TestFleet fleet;
  const Identity identity = fleet.Issue(Role::kDevice, "d1");
  const auto opened = Open(Must(SealRenewal(identity, TargetOf(fleet), kTestStart)), fleet.sealing_key());
  ASSERT_TRUE(opened) << opened.error().ToString();
  const auto& renewal = std::get<Renewal>(opened->authority);
  EXPECT_EQ(renewal.chain, identity.chain);
  EXPECT_TRUE(
      VerifySignature(identity.key.public_key(), RenewalTranscript(opened->certificate_request), renewal.signature));
  const auto asked = Must(ReadCertificateRequest(opened->certificate_request));
  EXPECT_EQ(asked.id, identity.subject.id);
  EXPECT_EQ(asked.public_key, identity.key.public_key());
  EXPECT_EQ(asked.curve_public_key, identity.subject.curve_public_key);
}

TEST(EnrolmentRequest, ARenewalMayAskForTheNextCurveKey) {
  const TestFleet fleet;
  const Identity identity = fleet.Issue(Role::kGateway, "g1");
  const CurveKeyPair next = GenerateCurveKeyPair();
  const auto opened =
      Open(Must(SealRenewal(identity, TargetOf(fleet), kTestStart, next.public_key)), fleet.sealing_key());
  ASSERT_TRUE(opened);
  EXPECT_EQ(Must(ReadCertificateRequest(opened->certificate_request)).curve_public_key, next.public_key);
}

TEST(EnrolmentRequest, RefusesWhatCannotBeSealedTo) {
  const auto sealed = SealEnrolment(WithToken(SigningKey::Generate()), {kDefaultAead, Bytes(31)});
  ASSERT_FALSE(sealed);
  EXPECT_EQ(sealed.error().code, Code::kInvalidArgument);
}

TEST(EnrolmentRequest, EveryFlippedBitIsNoticed) {
  const TestFleet fleet;
  const Bytes sealed = Must(SealEnrolment(WithToken(SigningKey::Generate()), TargetOf(fleet)));
  const KeyId key_id = HpkeKeyId(fleet.sealing_key().public_key);
  for (size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    Bytes altered = sealed;
    altered[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    const auto form = DecodeSealedEnrolment(altered);
    if (form && form->key_id != key_id) continue;  // for a key that nobody has
    EXPECT_FALSE(Open(altered, fleet.sealing_key())) << "bit " << bit;
  }
}

TEST(EnrolmentRequest, SizesAreCheckedBeforeAnythingElse) {
  const Bytes huge(limits::kEnrolmentBytes + 8);
  EXPECT_EQ(DecodeSealedEnrolment(huge).error().code, Code::kTooLarge);
  EXPECT_EQ(DecodeEnrolment(huge).error().code, Code::kTooLarge);
  EXPECT_EQ(DecodeSealedEnrolment({}).error().code, Code::kMalformed);
  EXPECT_EQ(DecodeEnrolment({}).error().code, Code::kMalformed);
}

}  // namespace
}  // namespace tributary::enrolment_request_test

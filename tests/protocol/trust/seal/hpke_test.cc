#include "protocol/trust/seal/hpke.h"

#include <rapidcheck.h>

#include <algorithm>

#include <gtest/gtest.h>

#include "protocol/trust/seal/digest.h"
#include "protocol/trust/seal/key_schedule.h"
#include "protocol/trust/seal/opener.h"
#include "tests/support/derived_key.h"

namespace tributary::hpke_test {
namespace {

class Hpke : public testing::TestWithParam<HpkeAead> {
 protected:
  HpkeSealer Sealer() const {
    return std::move(*HpkeSealer::ToRecipient(GetParam(), recipient_.public_key, AsBytes("info")));
  }
  HpkeOpener OpenerOf(const HpkeSealer& sealer, std::string_view info = "info") const {
    return std::move(*HpkeOpener::FromSender(GetParam(), recipient_, sealer.encapsulated_key(), AsBytes(info)));
  }

  const HpkeKeyPair recipient_ = GenerateHpkeKeyPair();
};

TEST_P(Hpke, OpensWhatWasSealedInOrder) {
  EXPECT_TRUE(rc::check([this](const std::vector<std::pair<Bytes, Bytes>>& messages) {
    HpkeSealer sealer = Sealer();
    HpkeOpener opener = OpenerOf(sealer);
    for (const auto& [associated_data, plaintext] : messages) {
      const Bytes ciphertext = sealer.Seal(associated_data, plaintext);
      RC_ASSERT(ciphertext.size() == plaintext.size() + kHpkeTagBytes);
      const auto opened = opener.Open(associated_data, ciphertext);
      RC_ASSERT(opened.has_value());
      RC_ASSERT(*opened == plaintext);
    }
  }));
}

TEST_P(Hpke, OpensAChunkOfFullSizeIntoItsPlace) {
  HpkeSealer sealer = Sealer();
  HpkeOpener opener = OpenerOf(sealer);
  Bytes chunk(256 * 1024);
  for (size_t i = 0; i < chunk.size(); ++i) chunk[i] = static_cast<uint8_t>(i * 31 + i / 256);
  Bytes out(chunk.size());
  ASSERT_TRUE(opener.OpenInto(AsBytes("h"), sealer.Seal(AsBytes("h"), chunk), out).has_value());
  EXPECT_EQ(out, chunk);
}

// Body, tag, associated data and length: each alteration is seen, nothing of the plaintext is left, and the opener goes
// on.
TEST_P(Hpke, RefusesEveryAlterationAndGoesOn) {
  HpkeSealer sealer = Sealer();
  HpkeOpener opener = OpenerOf(sealer);
  ASSERT_TRUE(opener.Open({}, sealer.Seal({}, AsBytes("before"))).has_value());
  const Bytes plaintext(40, 0x5a);
  const Bytes aad = ToBytes(AsBytes("header"));
  const Bytes good = sealer.Seal(aad, plaintext);

  const auto refused = [&](ByteView associated_data, const Bytes& ciphertext) {
    Bytes out(ciphertext.size() < kHpkeTagBytes ? 0 : ciphertext.size() - kHpkeTagBytes, 0xee);
    const Status status = opener.OpenInto(associated_data, ciphertext, out);
    ASSERT_FALSE(status.has_value());
    EXPECT_EQ(status.error().code, Code::kSealBroken);
    EXPECT_TRUE(std::ranges::all_of(out, [](uint8_t byte) { return byte == 0; })) << "plaintext left behind";
  };
  for (size_t i = 0; i < good.size(); ++i) {
    Bytes altered = good;
    altered[i] ^= static_cast<uint8_t>(1u << (i % 8));
    refused(aad, altered);
  }
  for (size_t size = 0; size < good.size(); ++size)
    refused(aad, Bytes(good.begin(), good.begin() + static_cast<long>(size)));
  Bytes longer = good;
  longer.push_back(0);
  refused(aad, longer);
  refused(AsBytes("headex"), good);
  refused(AsBytes("heade"), good);
  refused({}, good);

  const auto opened = opener.Open(aad, good);
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(*opened, plaintext);
  EXPECT_TRUE(opener.Open({}, sealer.Seal({}, AsBytes("after"))).has_value());
}

TEST_P(Hpke, RefusesMessagesOutOfOrderAndTwice) {
  HpkeSealer sealer = Sealer();
  HpkeOpener opener = OpenerOf(sealer);
  const Bytes first = sealer.Seal({}, AsBytes("one"));
  const Bytes second = sealer.Seal({}, AsBytes("two"));
  EXPECT_EQ(opener.Open({}, second).error().code, Code::kSealBroken);
  EXPECT_TRUE(opener.Open({}, first).has_value());
  EXPECT_EQ(opener.Open({}, first).error().code, Code::kSealBroken);
  EXPECT_TRUE(opener.Open({}, second).has_value());
}

TEST_P(Hpke, RefusesAnotherKeyInfoOrAead) {
  HpkeSealer sealer = Sealer();
  const Bytes sealed = sealer.Seal({}, AsBytes("one"));
  HpkeOpener other_info = OpenerOf(sealer, "other");
  EXPECT_EQ(other_info.Open({}, sealed).error().code, Code::kSealBroken);
  auto other_key =
      HpkeOpener::FromSender(GetParam(), GenerateHpkeKeyPair(), sealer.encapsulated_key(), AsBytes("info"));
  EXPECT_EQ(other_key->Open({}, sealed).error().code, Code::kSealBroken);
  const HpkeAead another = GetParam() == HpkeAead::kAes256Gcm ? HpkeAead::kChaCha20Poly1305 : HpkeAead::kAes256Gcm;
  auto other_aead = HpkeOpener::FromSender(another, recipient_, sealer.encapsulated_key(), AsBytes("info"));
  EXPECT_EQ(other_aead->Open({}, sealed).error().code, Code::kSealBroken);
}

// The opener takes the public key as it is given, so a pair that is none must not open anything.
TEST_P(Hpke, APublicKeyThatIsNotTheSecretsOpensNothing) {
  HpkeSealer sealer = Sealer();
  const HpkeKeyPair mixed{SecretBytes::CopyOf(recipient_.secret.RevealForUse()), GenerateHpkeKeyPair().public_key};
  auto opener = HpkeOpener::FromSender(GetParam(), mixed, sealer.encapsulated_key(), AsBytes("info"));
  ASSERT_TRUE(opener.has_value());
  EXPECT_EQ(opener->Open({}, sealer.Seal({}, AsBytes("one"))).error().code, Code::kSealBroken);
}

TEST_P(Hpke, EverySealerHasAKeyOfItsOwn) {
  HpkeSealer one = Sealer();
  HpkeSealer two = Sealer();
  EXPECT_NE(ToHex(one.encapsulated_key()), ToHex(two.encapsulated_key()));
  EXPECT_NE(one.Seal({}, AsBytes("same")), two.Seal({}, AsBytes("same")));
}

INSTANTIATE_TEST_SUITE_P(Aeads, Hpke,
                         testing::Values(HpkeAead::kAes128Gcm, HpkeAead::kAes256Gcm, HpkeAead::kChaCha20Poly1305));

// Points of order 1, 2, 4 and 8, canonical and not (RFC 7748 section 6.1 asks for the check).
TEST(HpkeKeys, LowOrderPointsAreRefused) {
  const HpkeKeyPair pair = GenerateHpkeKeyPair();
  for (std::string_view point : {"0000000000000000000000000000000000000000000000000000000000000000",
                                 "0100000000000000000000000000000000000000000000000000000000000000",
                                 "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                                 "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
                                 "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                 "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                 "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    const Bytes key = *FromHex(point);
    EXPECT_EQ(HpkeSealer::ToRecipient(kDefaultAead, key, {}).error().code, Code::kInvalidArgument) << point;
    EXPECT_EQ(HpkeOpener::FromSender(kDefaultAead, pair, key, {}).error().code, Code::kMalformed) << point;
  }
}

TEST(HpkeKeys, WrongSizesAndNumbersAreRefused) {
  const HpkeKeyPair pair = GenerateHpkeKeyPair();
  EXPECT_EQ(HpkeKeyPairFromSecret(SecretBytes(size_t{31})).error().code, Code::kInvalidArgument);
  EXPECT_EQ(DeriveHpkeKeyPair(Bytes(31)).error().code, Code::kInvalidArgument);
  EXPECT_EQ(HpkeSealer::ToRecipient(kDefaultAead, Bytes(33, 9), {}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(HpkeOpener::FromSender(kDefaultAead, pair, Bytes(31, 9), {}).error().code, Code::kMalformed);
  const HpkeKeyPair short_secret{SecretBytes(size_t{31}), pair.public_key};
  EXPECT_EQ(HpkeOpener::FromSender(kDefaultAead, short_secret, pair.public_key, {}).error().code,
            Code::kInvalidArgument);
  const HpkeKeyPair short_public{SecretBytes(size_t{32}), Bytes(31, 9)};
  EXPECT_EQ(HpkeOpener::FromSender(kDefaultAead, short_public, pair.public_key, {}).error().code,
            Code::kInvalidArgument);
  // A number from the wire that is no AEAD of ours.
  for (const int number : {0, 4, 0xffff}) {
    const auto aead = static_cast<HpkeAead>(number);
    EXPECT_EQ(HpkeSealer::ToRecipient(aead, pair.public_key, {}).error().code, Code::kInvalidArgument);
    EXPECT_EQ(HpkeOpener::FromSender(aead, pair, pair.public_key, {}).error().code, Code::kInvalidArgument);
  }
}

TEST(HpkeKeys, KeyIdIsTheBeginningOfTheKeysDigest) {
  const HpkeKeyPair pair = GenerateHpkeKeyPair();
  EXPECT_EQ(HpkeKeyId(pair.public_key).hex(), Sha256(pair.public_key).hex().substr(0, 16));
}

TEST(MessageSequence, NonceIsTheBaseWithTheNumberInItsLastBytes) {
  const MessageSequence sequence(SecretBytes(*FromHex("ffffffff0000000000000000")), 0x0102030405060708);
  EXPECT_EQ(ToHex(sequence.Nonce()), "ffffffff0102030405060708");
}

TEST(MessageSequence, StopsBeforeItWouldRepeat) {
  MessageSequence sequence(SecretBytes(size_t{kHpkeNonceBytes}), UINT64_MAX - 1);
  EXPECT_FALSE(sequence.Exhausted());
  sequence.Advance();
  EXPECT_TRUE(sequence.Exhausted());
  EXPECT_DEATH(sequence.Advance(), "Exhausted");
}

}  // namespace
}  // namespace tributary::hpke_test

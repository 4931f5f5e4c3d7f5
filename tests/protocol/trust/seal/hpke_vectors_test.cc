#include <tuple>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "protocol/base/file.h"
#include "protocol/trust/seal/hpke.h"
#include "protocol/trust/seal/key_schedule.h"
#include "protocol/trust/seal/opener.h"
#include "tests/support/derived_key.h"

namespace tributary::hpke_vectors_test {
namespace {

using Vector = nlohmann::json;

Bytes Hex(const Vector& vector, const char* field) { return *FromHex(vector.at(field).get<std::string>()); }
SecretBytes Secret(const Vector& vector, const char* field) { return SecretBytes(Hex(vector, field)); }
std::string Revealed(const SecretBytes& secret) { return ToHex(secret.RevealForUse()); }

// The test vectors of RFC 9180 for base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, one per AEAD.
class HpkeVectors : public testing::TestWithParam<HpkeAead> {
 protected:
  void SetUp() override {
    const Path path = Path(TRIBUTARY_SOURCE_DIR) / "tests/vectors/hpke_rfc9180_base_x25519_sha256.json";
    const auto bytes = ReadFile(RealFileSystem(), path, 1 << 20);
    ASSERT_TRUE(bytes.has_value());
    for (const auto& vector : Vector::parse(AsText(*bytes))) {
      if (vector.at("aead_id") != static_cast<int>(GetParam())) continue;
      ASSERT_EQ(vector.at("mode"), 0);
      ASSERT_EQ(vector.at("kem_id"), 32);
      ASSERT_EQ(vector.at("kdf_id"), 1);
      vector_ = vector;
    }
    ASSERT_FALSE(vector_.is_null());
  }

  HpkeSealer Sealer() const {
    const HpkeKeyPair ephemeral = std::move(*HpkeKeyPairFromSecret(Secret(vector_, "skEm")));
    return std::move(
        *HpkeSealer::ToRecipientWithEphemeral(GetParam(), Hex(vector_, "pkRm"), Hex(vector_, "info"), ephemeral));
  }
  HpkeKeyPair Recipient() const { return {Secret(vector_, "skRm"), Hex(vector_, "pkRm")}; }
  HpkeOpener Opener() const {
    return std::move(*HpkeOpener::FromSender(GetParam(), Recipient(), Hex(vector_, "enc"), Hex(vector_, "info")));
  }
  // Calls `at(message)` for each listed message, and `between(sequence)` for each number that is not listed.
  template <class At, class Between>
  void EachSequence(At at, Between between) const {
    uint64_t next = 0;
    for (const auto& message : vector_.at("encryptions")) {
      const uint64_t sequence = message.at("sequence");
      ASSERT_LE(next, sequence);
      for (; next < sequence; ++next) between(next);
      at(message);
      ++next;
    }
    ASSERT_GT(next, 256u) << "the vectors go beyond one byte of the sequence number";
  }

  Vector vector_;
};

TEST_P(HpkeVectors, DeriveKeyPair) {
  for (const auto& [ikm, secret, public_key] :
       {std::tuple{"ikmR", "skRm", "pkRm"}, std::tuple{"ikmE", "skEm", "pkEm"}}) {
    const auto pair = DeriveHpkeKeyPair(Hex(vector_, ikm));
    ASSERT_TRUE(pair.has_value());
    EXPECT_EQ(Revealed(pair->secret), vector_.at(secret));
    EXPECT_EQ(ToHex(pair->public_key), vector_.at(public_key));
  }
}

TEST_P(HpkeVectors, KeySchedule) {
  const HpkeKeyPair recipient = Recipient();
  const Bytes encapsulated = Hex(vector_, "enc");
  const auto diffie_hellman = DiffieHellman(recipient, encapsulated);
  ASSERT_TRUE(diffie_hellman.has_value());
  const SecretBytes shared_secret = KemSharedSecret(*diffie_hellman, encapsulated, recipient.public_key);
  const KeySchedule schedule = DeriveKeySchedule(GetParam(), shared_secret, Hex(vector_, "info"));
  EXPECT_EQ(Revealed(shared_secret), vector_.at("shared_secret"));
  EXPECT_EQ(ToHex(schedule.context), vector_.at("key_schedule_context"));
  EXPECT_EQ(Revealed(schedule.secret), vector_.at("secret"));
  EXPECT_EQ(Revealed(schedule.key), vector_.at("key"));
  EXPECT_EQ(Revealed(schedule.base_nonce), vector_.at("base_nonce"));
}

TEST_P(HpkeVectors, SealsEverySequenceNumber) {
  HpkeSealer sealer = Sealer();
  EXPECT_EQ(ToHex(sealer.encapsulated_key()), vector_.at("enc"));
  EachSequence(
      [&](const Vector& message) {
        EXPECT_EQ(ToHex(sealer.Seal(Hex(message, "aad"), Hex(message, "pt"))), message.at("ct"))
            << message.at("sequence");
      },
      [&](uint64_t) { sealer.Seal({}, {}); });
}

TEST_P(HpkeVectors, OpensEverySequenceNumber) {
  HpkeSealer sealer = Sealer();  // only for the messages that the vectors leave out
  HpkeOpener opener = Opener();
  EachSequence(
      [&](const Vector& message) {
        sealer.Seal({}, {});
        const auto opened = opener.Open(Hex(message, "aad"), Hex(message, "ct"));
        ASSERT_TRUE(opened.has_value()) << message.at("sequence");
        EXPECT_EQ(ToHex(*opened), message.at("pt"));
      },
      [&](uint64_t) { ASSERT_TRUE(opener.Open({}, sealer.Seal({}, {})).has_value()); });
}

INSTANTIATE_TEST_SUITE_P(Rfc9180, HpkeVectors,
                         testing::Values(HpkeAead::kAes128Gcm, HpkeAead::kAes256Gcm, HpkeAead::kChaCha20Poly1305));

}  // namespace
}  // namespace tributary::hpke_vectors_test

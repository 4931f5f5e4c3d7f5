#include "protocol/trust/seal/hpke.h"

#include <climits>
#include <utility>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "protocol/trust/seal/digest.h"
#include "protocol/trust/seal/key_schedule.h"
#include "protocol/trust/seal/native_key.h"

namespace tributary {

HpkeKeyPair GenerateHpkeKeyPair() {
  // Any 32 bytes are a secret: X25519 clamps them itself (RFC 7748 section 5).
  SecretBytes secret(kX25519Bytes);
  TRIBUTARY_CHECK(RAND_priv_bytes(secret.RevealForFilling().data(), static_cast<int>(secret.size())) == 1);
  return *HpkeKeyPairFromSecret(std::move(secret));
}

Result<HpkeKeyPair> HpkeKeyPairFromSecret(SecretBytes secret) {
  if (secret.size() != kX25519Bytes) {
    return Fail(Code::kInvalidArgument, "an X25519 secret is 32 bytes, not {}", secret.size());
  }
  const Owned<EVP_PKEY, EVP_PKEY_free> key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, secret.RevealForUse().data(), secret.size()));
  Bytes public_key(kX25519Bytes);
  size_t size = public_key.size();
  TRIBUTARY_CHECK(key && EVP_PKEY_get_raw_public_key(key.get(), public_key.data(), &size) == 1 && size == kX25519Bytes);
  return HpkeKeyPair{std::move(secret), std::move(public_key)};
}

KeyId HpkeKeyId(ByteView public_key) {
  const Digest digest = Sha256(public_key);
  return *KeyId::FromBytes(digest.view().first(KeyId::kSize));
}

// The cipher's key is set once; a message only resets the nonce.
struct HpkeSealer::State {
  Bytes encapsulated_key;
  MessageSequence sequence;
  Owned<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free> cipher;
};

HpkeSealer::HpkeSealer(std::unique_ptr<State> state) : state_(std::move(state)) {}
HpkeSealer::HpkeSealer(HpkeSealer&&) noexcept = default;
HpkeSealer& HpkeSealer::operator=(HpkeSealer&&) noexcept = default;
HpkeSealer::~HpkeSealer() = default;

Result<HpkeSealer> HpkeSealer::ToRecipient(HpkeAead aead, ByteView recipient_public_key, ByteView info) {
  return ToRecipientWithEphemeral(aead, recipient_public_key, info, GenerateHpkeKeyPair());
}

Result<HpkeSealer> HpkeSealer::ToRecipientWithEphemeral(HpkeAead aead, ByteView recipient_public_key, ByteView info,
                                                        const HpkeKeyPair& ephemeral) {
  RETURN_IF_ERROR(CheckAead(aead));
  ASSIGN_OR_RETURN(const SecretBytes dh, DiffieHellman(ephemeral, recipient_public_key));
  KeySchedule schedule = DeriveKeySchedule(aead, KemSharedSecret(dh, ephemeral.public_key, recipient_public_key), info);

  const auto* const algorithm = static_cast<const EVP_CIPHER*>(Cipher(aead));
  Owned<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free> cipher(EVP_CIPHER_CTX_new());
  TRIBUTARY_CHECK(
      cipher && EVP_EncryptInit_ex2(cipher.get(), algorithm, schedule.key.RevealForUse().data(), nullptr, nullptr) == 1)
      << CipherName(aead);
  return HpkeSealer(std::make_unique<State>(
      State{ephemeral.public_key, MessageSequence(std::move(schedule.base_nonce)), std::move(cipher)}));
}

ByteView HpkeSealer::encapsulated_key() const { return state_->encapsulated_key; }

Bytes HpkeSealer::Seal(ByteView associated_data, ByteView plaintext) {
  TRIBUTARY_CHECK(associated_data.size() <= INT_MAX && plaintext.size() <= INT_MAX - kHpkeTagBytes) << plaintext.size();
  TRIBUTARY_CHECK(!state_->sequence.Exhausted());
  EVP_CIPHER_CTX* cipher = state_->cipher.get();
  Bytes out(plaintext.size() + kHpkeTagBytes);
  const auto nonce = state_->sequence.Nonce();
  int length = 0;
  TRIBUTARY_CHECK(EVP_EncryptInit_ex2(cipher, nullptr, nullptr, nonce.data(), nullptr) == 1);
  if (!associated_data.empty()) {
    TRIBUTARY_CHECK(EVP_EncryptUpdate(cipher, nullptr, &length, associated_data.data(),
                                      static_cast<int>(associated_data.size())) == 1);
  }
  if (!plaintext.empty()) {
    TRIBUTARY_CHECK(
        EVP_EncryptUpdate(cipher, out.data(), &length, plaintext.data(), static_cast<int>(plaintext.size())) == 1);
  }
  uint8_t* tag = out.data() + plaintext.size();
  TRIBUTARY_CHECK(EVP_EncryptFinal_ex(cipher, tag, &length) == 1 &&
                  EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, kHpkeTagBytes, tag) == 1);
  state_->sequence.Advance();
  return out;
}

}  // namespace tributary

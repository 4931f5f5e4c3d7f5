#include "protocol/trust/seal/opener.h"

#include <climits>
#include <cstring>
#include <utility>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "protocol/trust/seal/key_schedule.h"
#include "protocol/trust/seal/native_key.h"

namespace tributary {
namespace {

using CipherContext = Owned<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free>;

// Decap of RFC 9180 section 4.1.
Result<SecretBytes> Decapsulate(const HpkeKeyPair& recipient, ByteView encapsulated_key) {
  if (encapsulated_key.size() != kX25519Bytes) {
    return Fail(Code::kMalformed, "an encapsulated key is 32 bytes, not {}", encapsulated_key.size());
  }
  if (recipient.secret.size() != kX25519Bytes || recipient.public_key.size() != kX25519Bytes) {
    return Fail(Code::kInvalidArgument, "an X25519 key pair is 32 and 32 bytes, not {} and {}", recipient.secret.size(),
                recipient.public_key.size());
  }
  const auto dh = DiffieHellman(recipient, encapsulated_key);
  // All sizes are right, so what is left is the sender's fault.
  if (!dh) return Fail(Code::kMalformed, "the encapsulated key is a point of low order");
  return KemSharedSecret(*dh, encapsulated_key, recipient.public_key);
}

// One message in one pass; true when the tag is right. The tag goes into the context first, through a copy because
// OpenSSL's call is not const.
bool Decrypt(EVP_CIPHER_CTX* cipher, const uint8_t* nonce, ByteView associated_data, ByteView body, ByteView tag,
             uint8_t* out) {
  uint8_t tag_copy[kHpkeTagBytes];
  std::memcpy(tag_copy, tag.data(), kHpkeTagBytes);
  uint8_t rest[kHpkeTagBytes];  // these AEADs write nothing at the end, but Final wants a place
  int length = 0;
  return EVP_DecryptInit_ex2(cipher, nullptr, nullptr, nonce, nullptr) == 1 &&
         EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, kHpkeTagBytes, tag_copy) == 1 &&
         (associated_data.empty() || EVP_DecryptUpdate(cipher, nullptr, &length, associated_data.data(),
                                                       static_cast<int>(associated_data.size())) == 1) &&
         (body.empty() || EVP_DecryptUpdate(cipher, out, &length, body.data(), static_cast<int>(body.size())) == 1) &&
         EVP_DecryptFinal_ex(cipher, rest, &length) == 1;
}

}  // namespace

// The cipher's key is set once; a message only resets the nonce.
struct HpkeOpener::State {
  MessageSequence sequence;
  CipherContext cipher;
};

HpkeOpener::HpkeOpener(std::unique_ptr<State> state) : state_(std::move(state)) {}
HpkeOpener::HpkeOpener(HpkeOpener&&) noexcept = default;
HpkeOpener& HpkeOpener::operator=(HpkeOpener&&) noexcept = default;
HpkeOpener::~HpkeOpener() = default;

Result<HpkeOpener> HpkeOpener::FromSender(HpkeAead aead, const HpkeKeyPair& recipient, ByteView encapsulated_key,
                                          ByteView info) {
  RETURN_IF_ERROR(CheckAead(aead));
  ASSIGN_OR_RETURN(const SecretBytes shared_secret, Decapsulate(recipient, encapsulated_key));
  KeySchedule schedule = DeriveKeySchedule(aead, shared_secret, info);
  const auto* const algorithm = static_cast<const EVP_CIPHER*>(Cipher(aead));
  CipherContext cipher(EVP_CIPHER_CTX_new());
  TRIBUTARY_CHECK(
      cipher && EVP_DecryptInit_ex2(cipher.get(), algorithm, schedule.key.RevealForUse().data(), nullptr, nullptr) == 1)
      << CipherName(aead);
  return HpkeOpener(std::make_unique<State>(State{MessageSequence(std::move(schedule.base_nonce)), std::move(cipher)}));
}

Status HpkeOpener::OpenInto(ByteView associated_data, ByteView ciphertext, MutableByteView out) {
  const auto broken = [&](const char* why) {
    OPENSSL_cleanse(out.data(), out.size());
    return Fail(Code::kSealBroken, "message {} {}", state_->sequence.next(), why);
  };
  if (ciphertext.size() < kHpkeTagBytes) return broken("is shorter than its tag");
  const ByteView body = ciphertext.first(ciphertext.size() - kHpkeTagBytes);
  TRIBUTARY_CHECK(out.size() == body.size()) << out.size() << " for " << body.size();
  TRIBUTARY_CHECK(associated_data.size() <= INT_MAX && body.size() <= INT_MAX) << body.size();
  if (state_->sequence.Exhausted()) return broken("is beyond the last sequence number");
  const auto nonce = state_->sequence.Nonce();
  if (!Decrypt(state_->cipher.get(), nonce.data(), associated_data, body, ciphertext.last(kHpkeTagBytes), out.data())) {
    return broken("does not open");
  }
  state_->sequence.Advance();
  return {};
}

Result<Bytes> HpkeOpener::Open(ByteView associated_data, ByteView ciphertext) {
  Bytes out(ciphertext.size() < kHpkeTagBytes ? 0 : ciphertext.size() - kHpkeTagBytes);
  RETURN_IF_ERROR(OpenInto(associated_data, ciphertext, out));
  return out;
}

}  // namespace tributary

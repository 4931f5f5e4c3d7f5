#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/trust/seal/hpke.h"
#include "protocol/trust/seal/secret.h"

// The sealing and the opening half of HPKE share this. Private to this folder and its tests.
namespace tributary {

inline constexpr size_t kHpkeNonceBytes = 12;  // Nn of all three AEADs, RFC 9180 section 7.3
inline constexpr size_t kHpkeTagBytes = 16;    // Nt of all three

// OpenSSL's name of the AEAD; nullptr: not one of the three.
const char* CipherName(HpkeAead aead);
// OpenSSL's EVP_CIPHER of the AEAD, looked up once per process. The AEAD passed CheckAead.
const void* Cipher(HpkeAead aead);
// kInvalidArgument: not one of the three.
Status CheckAead(HpkeAead aead);

// X25519 (RFC 7748). `mine` is a whole pair because a public key that is not given would be computed, which takes
// longer than the rest. kInvalidArgument: an argument is not 32 bytes, or the result is all zero because `public_key`
// is a point of low order (RFC 9180 section 7.1.4).
Result<SecretBytes> DiffieHellman(const HpkeKeyPair& mine, ByteView public_key);
// ExtractAndExpand of the KEM (RFC 9180 section 4.1).
SecretBytes KemSharedSecret(const SecretBytes& diffie_hellman, ByteView encapsulated_key,
                            ByteView recipient_public_key);

// KeySchedule in base mode, without a PSK (RFC 9180 section 5.1).
struct KeySchedule {
  Bytes context;
  SecretBytes secret, key, base_nonce;
};
KeySchedule DeriveKeySchedule(HpkeAead aead, const SecretBytes& shared_secret, ByteView info);

// The nonces of messages 0, 1, 2 … (ComputeNonce, RFC 9180 section 5.2). The nonce space has 2^96 numbers, this counts
// to 2^64 - 1 and stops there: a nonce used twice would reveal both messages.
class MessageSequence {
 public:
  explicit MessageSequence(SecretBytes base_nonce, uint64_t next = 0)
      : base_nonce_(std::move(base_nonce)), next_(next) {}
  bool Exhausted() const { return next_ == UINT64_MAX; }
  uint64_t next() const { return next_; }
  std::array<uint8_t, kHpkeNonceBytes> Nonce() const;
  // Must not be called once exhausted.
  void Advance();

 private:
  SecretBytes base_nonce_;
  uint64_t next_;
};

inline constexpr size_t kHashBytes = 32;

// "KEM" || I2OSP(0x0020, 2): DHKEM(X25519, HKDF-SHA256).
Bytes KemSuite();

// A pseudorandom key of 32 bytes.
SecretBytes LabeledExtract(ByteView suite, ByteView salt, std::string_view label, ByteView keying_material);
// `length`: at most 255 * 32 bytes.
SecretBytes LabeledExpand(ByteView suite, const SecretBytes& key, std::string_view label, ByteView info, size_t length);

}  // namespace tributary

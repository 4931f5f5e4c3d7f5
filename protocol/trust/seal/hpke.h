#pragma once

#include <cstdint>
#include <memory>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/trust/seal/secret.h"

namespace tributary {

// HPKE, RFC 9180: base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, and one of three AEADs. The values are the RFC's
// registry numbers (section 7.3).
enum class HpkeAead : uint16_t { kAes128Gcm = 1, kAes256Gcm = 2, kChaCha20Poly1305 = 3 };
inline constexpr HpkeAead kDefaultAead = HpkeAead::kAes256Gcm;

inline constexpr size_t kX25519Bytes = 32;  // of a public key, and of a secret one (RFC 7748)

// The aggregator's key, to which payloads and requests for certificates are sealed: from the publication, or from an
// invitation.
struct SealingTarget {
  HpkeAead aead = kDefaultAead;
  Bytes public_key;  // 32 bytes
};

// The recipient's pair.
struct HpkeKeyPair {
  SecretBytes secret;
  Bytes public_key;
};
HpkeKeyPair GenerateHpkeKeyPair();
// kInvalidArgument: not 32 bytes.
Result<HpkeKeyPair> HpkeKeyPairFromSecret(SecretBytes secret);
// The first 8 bytes of the key's SHA-256: how an envelope names the key it is sealed to.
KeyId HpkeKeyId(ByteView public_key);

// Seals a sequence of messages to one recipient: message i may only be opened as the i-th. Resource type, not thread
// safe; one context per payload. It does not authenticate the sender (base mode): the envelope's signature does that.
class HpkeSealer {
 public:
  // Sets up a fresh context with an ephemeral key of its own. `info` is bound into the key schedule.
  // kInvalidArgument: the public key is not a point of the curve's full order.
  static Result<HpkeSealer> ToRecipient(HpkeAead aead, ByteView recipient_public_key, ByteView info);
  // The same with a given ephemeral pair: for known-answer tests only, since a pair used twice reveals both payloads.
  static Result<HpkeSealer> ToRecipientWithEphemeral(HpkeAead aead, ByteView recipient_public_key, ByteView info,
                                                     const HpkeKeyPair& ephemeral);
  HpkeSealer(HpkeSealer&&) noexcept;
  HpkeSealer& operator=(HpkeSealer&&) noexcept;
  ~HpkeSealer();

  // 32 bytes, `enc` of the RFC: travels with the payload.
  ByteView encapsulated_key() const;
  // Ciphertext and its 16-byte tag. `associated_data` is authenticated, not hidden, and required.
  Bytes Seal(ByteView associated_data, ByteView plaintext);

 private:
  struct State;
  explicit HpkeSealer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tributary

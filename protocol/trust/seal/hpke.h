#pragma once

#include <cstdint>

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

}  // namespace tributary

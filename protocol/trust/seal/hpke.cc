#include "protocol/trust/seal/hpke.h"

#include <utility>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "protocol/trust/seal/digest.h"
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

}  // namespace tributary

#include "protocol/trust/tuf/roles.h"

#include "protocol/trust/seal/digest.h"
#include "protocol/trust/seal/signing.h"

namespace tributary::tuf {

Key Key::FromPublicKey(ByteView public_key) { return Key{.public_text = ToHex(public_key)}; }

std::optional<Bytes> Key::Ed25519() const {
  if (type != "ed25519" || scheme != "ed25519") return std::nullopt;
  Result<Bytes> bytes = FromHex(public_text);
  if (!bytes || bytes->size() != kSigningPublicKeyBytes) return std::nullopt;
  return std::move(*bytes);
}

FileMeta FileMeta::Of(uint64_t version, ByteView file) { return {version, file.size(), Sha256(file)}; }

}  // namespace tributary::tuf

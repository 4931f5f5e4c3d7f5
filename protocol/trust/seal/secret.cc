#include "protocol/trust/seal/secret.h"

#include <utility>

#include <openssl/crypto.h>

namespace tributary {
namespace {

// Also wipes what lies between size and capacity: a vector that was shrunk keeps its old bytes there. Growing to the
// capacity does not reallocate.
void Wipe(Bytes& bytes) {
  bytes.resize(bytes.capacity());
  OPENSSL_cleanse(bytes.data(), bytes.size());
  bytes.clear();
}

}  // namespace

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this == &other) return *this;
  Wipe(bytes_);
  bytes_ = std::move(other.bytes_);
  other.bytes_.clear();
  return *this;
}

SecretBytes::~SecretBytes() { Wipe(bytes_); }

bool EqualInConstantTime(ByteView a, ByteView b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace tributary

#include "protocol/trust/seal/secret.h"

#include <string_view>
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

constexpr std::string_view kDigits = "0123456789abcdef";

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

SecretBytes ToHexLine(const SecretBytes& secret) {
  SecretBytes line(2 * secret.size() + 1);
  const MutableByteView out = line.RevealForFilling();
  for (size_t i = 0; i < secret.size(); ++i) {
    const uint8_t byte = secret.RevealForUse()[i];
    out[2 * i] = static_cast<uint8_t>(kDigits[byte >> 4]);
    out[2 * i + 1] = static_cast<uint8_t>(kDigits[byte & 15]);
  }
  out.back() = '\n';
  return line;
}

Result<SecretBytes> FromHexLine(const SecretBytes& text, size_t size) {
  ByteView hex = text.RevealForUse();
  while (!hex.empty() && (hex.back() == '\n' || hex.back() == '\r' || hex.back() == ' '))
    hex = hex.first(hex.size() - 1);
  if (hex.size() != 2 * size) {
    return Fail(Code::kMalformed, "a key of {} bytes has {} hexadecimal digits, not {}", size, 2 * size, hex.size());
  }
  SecretBytes secret(size);
  for (size_t i = 0; i < size; ++i) {
    const size_t high = kDigits.find(AsText(hex)[2 * i]), low = kDigits.find(AsText(hex)[2 * i + 1]);
    if ((high | low) > 15) return Fail(Code::kMalformed, "a key is written in lower-case hexadecimal digits");
    secret.RevealForFilling()[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return secret;
}

}  // namespace tributary

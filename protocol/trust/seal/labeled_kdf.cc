#include "protocol/trust/seal/labeled_kdf.h"

#include <algorithm>

#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace tributary {
namespace {

constexpr std::string_view kVersionLabel = "HPKE-v1";

SecretBytes Hmac(ByteView key, ByteView message) {
  // An empty view may hold a null pointer, which HMAC takes as "the key of before".
  static constexpr uint8_t kEmptyKey = 0;
  // Looked up once: EVP_sha256() would be looked up three times in each call. Never given back, because OpenSSL may
  // have cleaned up before this library's statics go.
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  TRIBUTARY_CHECK(sha256 != nullptr);
  SecretBytes mac(kHashBytes);
  const uint8_t* key_data = key.empty() ? &kEmptyKey : key.data();
  TRIBUTARY_CHECK(HMAC(sha256, key_data, static_cast<int>(key.size()), message.data(), message.size(),
                       mac.RevealForFilling().data(), nullptr) != nullptr);
  return mac;
}

// Collects the parts of a secret message in a buffer that never moves, so that no copy of them stays behind.
class SecretMessage {
 public:
  explicit SecretMessage(size_t size) : bytes_(size) {}
  SecretMessage& Add(ByteView part) {
    std::ranges::copy(part, bytes_.RevealForFilling().subspan(used_).begin());
    used_ += part.size();
    return *this;
  }
  ByteView view() const { return bytes_.RevealForUse().first(used_); }

 private:
  SecretBytes bytes_;
  size_t used_ = 0;
};

}  // namespace

Bytes KemSuite() { return {'K', 'E', 'M', 0x00, 0x20}; }

SecretBytes LabeledExtract(ByteView suite, ByteView salt, std::string_view label, ByteView keying_material) {
  SecretMessage message(kVersionLabel.size() + suite.size() + label.size() + keying_material.size());
  message.Add(AsBytes(kVersionLabel)).Add(suite).Add(AsBytes(label)).Add(keying_material);
  return Hmac(salt, message.view());
}

SecretBytes LabeledExpand(ByteView suite, const SecretBytes& key, std::string_view label, ByteView info,
                          size_t length) {
  TRIBUTARY_CHECK(length <= 255 * kHashBytes) << length;
  Bytes labeled = {static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length)};
  Append(labeled, AsBytes(kVersionLabel));
  Append(labeled, suite);
  Append(labeled, AsBytes(label));
  Append(labeled, info);

  SecretBytes out(length);
  SecretBytes block;  // T(i) of RFC 5869 section 2.3; T(0) is empty
  for (size_t done = 0; done < length; done += kHashBytes) {
    const uint8_t counter = static_cast<uint8_t>(done / kHashBytes + 1);
    SecretMessage message(block.size() + labeled.size() + 1);
    message.Add(block.RevealForUse()).Add(labeled).Add({&counter, 1});
    block = Hmac(key.RevealForUse(), message.view());
    const size_t take = std::min(kHashBytes, length - done);
    std::ranges::copy(block.RevealForUse().first(take), out.RevealForFilling().subspan(done).begin());
  }
  return out;
}

}  // namespace tributary

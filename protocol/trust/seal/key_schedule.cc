#include "protocol/trust/seal/key_schedule.h"

#include <algorithm>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>

#include "protocol/trust/seal/native_key.h"

namespace tributary {
namespace {

using Key = Owned<EVP_PKEY, EVP_PKEY_free>;
using KeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;

size_t KeyBytes(HpkeAead aead) { return aead == HpkeAead::kAes128Gcm ? 16 : 32; }

// Null when OpenSSL refuses. EVP_PKEY_new_raw_private_key would compute the public key, 50 to 70 microseconds.
Key WholeKey(const HpkeKeyPair& pair) {
  const ByteView secret = pair.secret.RevealForUse();
  // OpenSSL's parameters are not const; it only reads them.
  OSSL_PARAM parts[] = {
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, const_cast<uint8_t*>(secret.data()), secret.size()),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, const_cast<uint8_t*>(pair.public_key.data()),
                                        pair.public_key.size()),
      OSSL_PARAM_construct_end()};
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "X25519", nullptr));
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) != 1) return nullptr;
  if (EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_KEYPAIR, parts) != 1) return nullptr;
  return Key(key);
}

// "HPKE" || I2OSP(kem_id, 2) || I2OSP(kdf_id, 2) || I2OSP(aead_id, 2)
Bytes HpkeSuite(HpkeAead aead) {
  return {'H', 'P', 'K', 'E', 0x00, 0x20, 0x00, 0x01, 0x00, static_cast<uint8_t>(aead)};
}

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

const char* CipherName(HpkeAead aead) {
  static constexpr const char* kNames[] = {nullptr, "AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305"};
  const auto number = static_cast<size_t>(aead);
  return number < std::size(kNames) ? kNames[number] : nullptr;
}

const void* Cipher(HpkeAead aead) {
  const auto fetch = [](HpkeAead which) { return EVP_CIPHER_fetch(nullptr, CipherName(which), nullptr); };
  // Never given back: OpenSSL may have cleaned up before this library's statics go.
  static const EVP_CIPHER* const ciphers[] = {fetch(HpkeAead::kAes128Gcm), fetch(HpkeAead::kAes256Gcm),
                                              fetch(HpkeAead::kChaCha20Poly1305)};
  const EVP_CIPHER* const cipher = ciphers[static_cast<size_t>(aead) - 1];
  TRIBUTARY_CHECK(cipher != nullptr) << CipherName(aead);
  return cipher;
}

Status CheckAead(HpkeAead aead) {
  if (CipherName(aead)) return {};
  return Fail(Code::kInvalidArgument, "no HPKE AEAD has the number {}", static_cast<uint16_t>(aead));
}

Result<SecretBytes> DiffieHellman(const HpkeKeyPair& mine, ByteView public_key) {
  for (const size_t size : {mine.secret.size(), mine.public_key.size(), public_key.size()}) {
    if (size == kX25519Bytes) continue;
    return Fail(Code::kInvalidArgument, "an X25519 key is 32 bytes, not {}", size);
  }
  const Key own = WholeKey(mine);
  const Key theirs(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, public_key.data(), public_key.size()));
  TRIBUTARY_CHECK(own && theirs);
  const KeyContext context(EVP_PKEY_CTX_new(own.get(), nullptr));
  TRIBUTARY_CHECK(context && EVP_PKEY_derive_init(context.get()) == 1);
  SecretBytes shared(kX25519Bytes);
  size_t size = shared.size();
  // OpenSSL refuses low-order points by itself; the comparison keeps that true with another provider.
  const bool derived = EVP_PKEY_derive_set_peer(context.get(), theirs.get()) == 1 &&
                       EVP_PKEY_derive(context.get(), shared.RevealForFilling().data(), &size) == 1;
  if (!derived || EqualInConstantTime(shared.RevealForUse(), Bytes(kX25519Bytes, 0))) {
    return Fail(Code::kInvalidArgument, "the X25519 public key is a point of low order");
  }
  return shared;
}

SecretBytes KemSharedSecret(const SecretBytes& diffie_hellman, ByteView encapsulated_key,
                            ByteView recipient_public_key) {
  Bytes context = ToBytes(encapsulated_key);
  Append(context, recipient_public_key);
  const SecretBytes prk = LabeledExtract(KemSuite(), {}, "eae_prk", diffie_hellman.RevealForUse());
  return LabeledExpand(KemSuite(), prk, "shared_secret", context, kX25519Bytes);
}

KeySchedule DeriveKeySchedule(HpkeAead aead, const SecretBytes& shared_secret, ByteView info) {
  const Bytes suite = HpkeSuite(aead);
  KeySchedule schedule;
  schedule.context = {0x00};  // mode_base
  Append(schedule.context, LabeledExtract(suite, {}, "psk_id_hash", {}).RevealForUse());
  Append(schedule.context, LabeledExtract(suite, {}, "info_hash", info).RevealForUse());
  schedule.secret = LabeledExtract(suite, shared_secret.RevealForUse(), "secret", {});
  schedule.key = LabeledExpand(suite, schedule.secret, "key", schedule.context, KeyBytes(aead));
  schedule.base_nonce = LabeledExpand(suite, schedule.secret, "base_nonce", schedule.context, kHpkeNonceBytes);
  return schedule;
}

std::array<uint8_t, kHpkeNonceBytes> MessageSequence::Nonce() const {
  std::array<uint8_t, kHpkeNonceBytes> nonce;
  std::ranges::copy(base_nonce_.RevealForUse(), nonce.begin());
  for (size_t i = 0; i < sizeof(next_); ++i) nonce[kHpkeNonceBytes - 1 - i] ^= static_cast<uint8_t>(next_ >> (8 * i));
  return nonce;
}

void MessageSequence::Advance() {
  TRIBUTARY_CHECK(!Exhausted());
  ++next_;
}

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

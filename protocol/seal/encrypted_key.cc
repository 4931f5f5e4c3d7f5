#include <algorithm>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>

#include "protocol/seal/native_key.h"
#include "protocol/seal/x509_parts.h"

namespace tributary {
namespace {

// OWASP's parameters for scrypt with as much memory (128 · r · N = 16 MiB) as OpenSSL takes when it reads a key.
constexpr uint64_t kScryptN = 1 << 14;
constexpr uint64_t kScryptR = 8;
constexpr uint64_t kScryptP = 5;
constexpr int kSaltBytes = 16;
// How a PKCS#8 block says that it is encrypted (RFC 7468 section 11).
constexpr std::string_view kEncryptedMark = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

// OpenSSL asks through this; without it, on the terminal.
int GivePassphrase(char* buffer, int size, int, void* user) {
  const ByteView passphrase = static_cast<const SecretBytes*>(user)->RevealForUse();
  if (static_cast<size_t>(size) < passphrase.size()) return -1;
  std::ranges::copy(passphrase, buffer);
  return static_cast<int>(passphrase.size());
}

}  // namespace

Result<SigningKey> SigningKey::FromPem(const SecretBytes& pem, const SecretBytes& passphrase) {
  const std::string_view text = AsText(pem.RevealForUse());
  if (text.find(kEncryptedMark) == std::string_view::npos) return FromPem(pem);
  if (passphrase.empty()) return Fail(Code::kUnauthorized, "the key is encrypted: its passphrase is needed");
  const Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  EVP_PKEY* key = bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, GivePassphrase,
                                                const_cast<void*>(static_cast<const void*>(&passphrase)))
                      : nullptr;
  ERR_clear_error();
  auto native =
      std::make_unique<Native>(std::shared_ptr<void>(key, [](void* k) { EVP_PKEY_free(static_cast<EVP_PKEY*>(k)); }));
  if (!key) return Fail(Code::kUnauthorized, "the passphrase is not the key's, or the file is damaged");
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519) {
    return Fail(Code::kMalformed, "not an Ed25519 private key in PEM (PKCS#8)");
  }
  return SigningKey(std::move(native));
}

SecretBytes SigningKey::ToPem(const SecretBytes& passphrase) const {
  TRIBUTARY_CHECK(!passphrase.empty());
  const Owned<PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free> plain(EVP_PKEY2PKCS8(Handle(*this)));
  X509_ALGOR* scheme = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), nullptr, kSaltBytes, nullptr, kScryptN, kScryptR,
                                             kScryptP);  // its salt is random
  TRIBUTARY_CHECK(plain && scheme);
  const ByteView secret = passphrase.RevealForUse();
  const Owned<X509_SIG, X509_SIG_free> sealed(PKCS8_set0_pbe(reinterpret_cast<const char*>(secret.data()),
                                                             static_cast<int>(secret.size()), plain.get(), scheme));
  const Bio bio(BIO_new(BIO_s_mem()));
  TRIBUTARY_CHECK(sealed && bio && PEM_write_bio_PKCS8(bio.get(), sealed.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return SecretBytes::CopyOf({reinterpret_cast<const uint8_t*>(data), static_cast<size_t>(size)});
}

}  // namespace tributary

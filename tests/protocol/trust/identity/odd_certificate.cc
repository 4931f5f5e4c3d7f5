#include "tests/protocol/trust/identity/odd_certificate.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "protocol/trust/seal/native_key.h"
#include "protocol/trust/seal/secret.h"
#include "protocol/trust/seal/signing.h"

namespace tributary {
namespace {

using Key = Owned<EVP_PKEY, EVP_PKEY_free>;

Key PublicKey(const Bytes& raw) {
  if (raw.empty()) return Key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  return Key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw.data(), raw.size()));
}

Key PrivateKey(const SigningKey& key) {
  const SecretBytes pem = key.ToPem();
  const Owned<BIO, BIO_free> bio(BIO_new_mem_buf(pem.RevealForUse().data(), static_cast<int>(pem.size())));
  return Key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
}

void SetName(X509_NAME* to, const std::string& name) {
  X509_NAME_add_entry_by_txt(to, "CN", MBSTRING_UTF8, reinterpret_cast<const uint8_t*>(name.data()), -1, -1, 0);
}

}  // namespace

Certificate Issue(const OddCertificate& odd, const Certificate& issuer, const SigningKey& issuer_key) {
  const uint8_t* at = issuer.der.data();
  const Owned<X509, X509_free> parent(d2i_X509(nullptr, &at, static_cast<long>(issuer.der.size())));
  const Owned<X509, X509_free> child(X509_new());
  TRIBUTARY_CHECK(parent && child);
  X509_set_version(child.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(child.get()), 77);
  const int64_t from = odd.not_before.unix_seconds();
  ASN1_TIME_set(X509_getm_notBefore(child.get()), from);
  ASN1_TIME_set(X509_getm_notAfter(child.get()), from + odd.lifetime.count() / 1000);
  SetName(X509_get_subject_name(child.get()), odd.name);
  X509_set_issuer_name(child.get(), X509_get_subject_name(parent.get()));
  X509_set_pubkey(child.get(), PublicKey(odd.public_key).get());
  X509V3_CTX context;
  X509V3_set_ctx(&context, parent.get(), child.get(), nullptr, nullptr, 0);
  for (const auto& [name, value] : odd.extensions) {
    const Owned<X509_EXTENSION, X509_EXTENSION_free> extension(
        X509V3_EXT_nconf(nullptr, &context, name.c_str(), value.c_str()));
    TRIBUTARY_CHECK(extension && X509_add_ext(child.get(), extension.get(), -1) == 1) << name << "=" << value;
  }
  TRIBUTARY_CHECK(X509_sign(child.get(), PrivateKey(issuer_key).get(), nullptr) > 0);
  Certificate certificate;
  certificate.der.resize(static_cast<size_t>(i2d_X509(child.get(), nullptr)));
  uint8_t* end = certificate.der.data();
  i2d_X509(child.get(), &end);
  return certificate;
}

}  // namespace tributary

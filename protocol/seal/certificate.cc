#include "protocol/seal/certificate.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "protocol/base/limits.h"
#include "protocol/seal/native_key.h"
#include "protocol/seal/owned.h"
#include "protocol/seal/subject_names.h"

namespace tributary {
namespace {

using X509Handle = Owned<X509, X509_free>;
using Key = Owned<EVP_PKEY, EVP_PKEY_free>;
using Bio = Owned<BIO, BIO_free>;

// 9999-12-31T23:59:59Z, the last second a certificate can say (RFC 5280 section 4.1.2.5).
constexpr int64_t kLastSecond = 253'402'300'799;
// Base64 and the two lines around it make a PEM less than twice as long as its DER.
constexpr size_t kPemBytes = 2 * limits::kCertificateBytes * limits::kCertificateChain;

EVP_PKEY* Handle(const SigningKey& key) { return static_cast<EVP_PKEY*>(key.native().handle.get()); }

Bytes ToDer(X509* certificate) {
  const int size = i2d_X509(certificate, nullptr);
  TRIBUTARY_CHECK(size > 0);
  Bytes der(static_cast<size_t>(size));
  uint8_t* end = der.data();
  TRIBUTARY_CHECK(i2d_X509(certificate, &end) == size);
  return der;
}

X509Handle FromDer(ByteView der) {
  const uint8_t* at = der.data();
  return X509Handle(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
}

void SetRandomSerial(X509* certificate) {
  uint8_t bytes[16];
  TRIBUTARY_CHECK(RAND_bytes(bytes, sizeof(bytes)) == 1);
  bytes[0] |= 0x40;  // never zero, and always of full length
  const Owned<BIGNUM, BN_free> number(BN_bin2bn(bytes, sizeof(bytes), nullptr));
  TRIBUTARY_CHECK(number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr);
}

Status SetValidity(X509* certificate, WallTime now, Millis lifetime) {
  const int64_t from = now.unix_millis / 1000;
  const int64_t seconds = lifetime.count() / 1000;
  if (from < 0 || from > kLastSecond || seconds <= 0 || seconds > kLastSecond - from) {
    return Fail(Code::kInvalidArgument, "a certificate cannot be valid from second " + std::to_string(from) + " for " +
                                            std::to_string(seconds) + " s");
  }
  TRIBUTARY_CHECK(ASN1_TIME_set(X509_getm_notBefore(certificate), from) != nullptr &&
                  ASN1_TIME_set(X509_getm_notAfter(certificate), from + seconds) != nullptr);
  return {};
}

void SetCommonName(X509* certificate, const std::string& name) {
  TRIBUTARY_CHECK(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                                             reinterpret_cast<const uint8_t*>(name.data()),
                                             static_cast<int>(name.size()), -1, 0) == 1)
      << "common name '" << name << "'";
}

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION, X509_EXTENSION_free> extension(
      X509V3_EXT_nconf_nid(nullptr, &context, nid, value.c_str()));
  TRIBUTARY_CHECK(extension && X509_add_ext(certificate, extension.get(), -1) == 1) << OBJ_nid2sn(nid) << "=" << value;
}

void SignCertificate(X509* certificate, const SigningKey& key) {
  TRIBUTARY_CHECK(X509_sign(certificate, Handle(key), nullptr) > 0);  // Ed25519 hashes by itself
}

X509Handle NewCertificate(EVP_PKEY* public_key) {
  X509Handle certificate(X509_new());
  TRIBUTARY_CHECK(certificate && X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
                  X509_set_pubkey(certificate.get(), public_key) == 1);
  SetRandomSerial(certificate.get());
  return certificate;
}

}  // namespace

CertificateAuthority CertificateAuthority::Create(const std::string& fleet, WallTime now, Millis lifetime) {
  SigningKey key = SigningKey::Generate();
  const X509Handle certificate = NewCertificate(Handle(key));
  const auto valid = SetValidity(certificate.get(), now, lifetime);
  TRIBUTARY_CHECK(valid.has_value()) << valid.error().message;
  SetCommonName(certificate.get(), fleet);
  TRIBUTARY_CHECK(X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get())) == 1);
  AddExtension(certificate.get(), certificate.get(), NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate.get(), certificate.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  AddExtension(certificate.get(), certificate.get(), NID_subject_key_identifier, "hash");
  SignCertificate(certificate.get(), key);
  return CertificateAuthority(std::move(key), Certificate{ToDer(certificate.get())});
}

Result<CertificateAuthority> CertificateAuthority::Load(const SecretBytes& key_pem,
                                                        const std::string& certificate_pem) {
  ASSIGN_OR_RETURN(SigningKey key, SigningKey::FromPem(key_pem));
  ASSIGN_OR_RETURN(Certificate certificate, CertificateFromPem(certificate_pem));
  RETURN_IF_ERROR(TrustAnchor::FromCertificate(certificate));
  const X509Handle parsed = FromDer(certificate.der);
  if (EVP_PKEY_eq(X509_get0_pubkey(parsed.get()), Handle(key)) != 1) {
    ERR_clear_error();
    return Fail(Code::kMalformed, "the CA's key is not the one in its certificate");
  }
  return CertificateAuthority(std::move(key), std::move(certificate));
}

Result<Certificate> CertificateAuthority::Issue(const Subject& subject, ByteView public_key, WallTime now,
                                                Millis lifetime) const {
  ASSIGN_OR_RETURN(const std::vector<std::string> uris, SubjectToUris(subject));
  if (public_key.size() != kSigningPublicKeyBytes) {
    return Fail(Code::kInvalidArgument, "an Ed25519 public key is 32 bytes, not " + std::to_string(public_key.size()));
  }
  const Key holder(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, public_key.data(), public_key.size()));
  const X509Handle issuer = FromDer(certificate_.der);
  TRIBUTARY_CHECK(holder && issuer);
  const X509Handle certificate = NewCertificate(holder.get());
  RETURN_IF_ERROR(SetValidity(certificate.get(), now, lifetime));
  SetCommonName(certificate.get(), subject.id.text());
  TRIBUTARY_CHECK(X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer.get())) == 1);
  // The URIs hold names and hexadecimal only, so that none can end its place in OpenSSL's configuration syntax.
  std::string names;
  for (const auto& uri : uris) names += (names.empty() ? "URI:" : ",URI:") + uri;
  AddExtension(certificate.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE");
  AddExtension(certificate.get(), issuer.get(), NID_key_usage, "critical,digitalSignature");
  AddExtension(certificate.get(), issuer.get(), NID_subject_alt_name, names);
  AddExtension(certificate.get(), issuer.get(), NID_subject_key_identifier, "hash");
  AddExtension(certificate.get(), issuer.get(), NID_authority_key_identifier, "keyid:always");
  SignCertificate(certificate.get(), key_);
  return Certificate{ToDer(certificate.get())};
}

std::string CertificateToPem(const Certificate& certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  TRIBUTARY_CHECK(bio && PEM_write_bio(bio.get(), PEM_STRING_X509, "", certificate.der.data(),
                                       static_cast<long>(certificate.der.size())) > 0);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

Result<std::vector<Certificate>> CertificatesFromPem(std::string_view pem) {
  if (pem.size() > kPemBytes) {
    return Fail(Code::kTooLarge,
                "certificates of " + std::to_string(pem.size()) + " bytes; the limit is " + std::to_string(kPemBytes));
  }
  if (pem.empty()) return Fail(Code::kMalformed, "not a certificate in PEM: empty");  // a BIO over nothing is an error
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  TRIBUTARY_CHECK(bio != nullptr);
  std::vector<Certificate> certificates;
  char* name = nullptr;
  char* header = nullptr;
  uint8_t* data = nullptr;
  long size = 0;
  bool all_are_certificates = true;
  while (PEM_read_bio(bio.get(), &name, &header, &data, &size) == 1) {
    const ByteView der(data, static_cast<size_t>(size));
    all_are_certificates &= std::string_view(name) == PEM_STRING_X509 && FromDer(der) != nullptr;
    certificates.push_back({ToBytes(der)});
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
  }
  const bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;  // how OpenSSL says "no more"
  ERR_clear_error();
  if (!ended || !all_are_certificates || certificates.empty())
    return Fail(Code::kMalformed, "not a certificate in PEM");
  return certificates;
}

Result<Certificate> CertificateFromPem(std::string_view pem) {
  ASSIGN_OR_RETURN(std::vector<Certificate> certificates, CertificatesFromPem(pem));
  if (certificates.size() != 1) {
    return Fail(Code::kMalformed, std::to_string(certificates.size()) + " certificates where one is wanted");
  }
  return std::move(certificates.front());
}

}  // namespace tributary

#include "protocol/trust/identity/x509_parts.h"

#include <algorithm>
#include <ctime>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "protocol/base/limits.h"

namespace tributary {
namespace {

// 9999-12-31T23:59:59Z, the last second a certificate can say (RFC 5280 section 4.1.2.5).
constexpr int64_t kLastSecond = 253'402'300'799;

template <auto D2i, auto I2d, auto Free, class T>
Owned<T, Free> FromDer(ByteView der) {
  const uint8_t* at = der.data();
  Owned<T, Free> object(D2i(nullptr, &at, static_cast<long>(der.size())));
  uint8_t* again = nullptr;
  const int size = object ? I2d(object.get(), &again) : -1;
  if (size < 0 || !std::ranges::equal(ByteView(again, static_cast<size_t>(size)), der)) object.reset();
  OPENSSL_free(again);
  ERR_clear_error();
  return object;
}

}  // namespace

EVP_PKEY* Handle(const SigningKey& key) { return static_cast<EVP_PKEY*>(key.native()); }

Bytes RawPublicKey(const EVP_PKEY* key) {
  Bytes bytes(kSigningPublicKeyBytes);
  size_t size = bytes.size();
  TRIBUTARY_CHECK(EVP_PKEY_get_raw_public_key(key, bytes.data(), &size) == 1 && size == bytes.size());
  return bytes;
}

X509Handle CertificateFromDer(ByteView der) { return FromDer<d2i_X509, i2d_X509, X509_free, X509>(der); }
Owned<X509_REQ, X509_REQ_free> RequestFromDer(ByteView der) {
  return FromDer<d2i_X509_REQ, i2d_X509_REQ, X509_REQ_free, X509_REQ>(der);
}
Owned<X509_CRL, X509_CRL_free> CrlFromDer(ByteView der) {
  return FromDer<d2i_X509_CRL, i2d_X509_CRL, X509_CRL_free, X509_CRL>(der);
}

Result<X509Handle> ParseCertificate(ByteView der) {
  if (der.size() > limits::kCertificateBytes) {
    return Fail(Code::kTooLarge, "a certificate of {} bytes; the limit is {}", der.size(), limits::kCertificateBytes);
  }
  X509Handle certificate = CertificateFromDer(der);
  if (!certificate) return Fail(Code::kMalformed, "not an X.509 certificate in DER");
  // Also keeps a peer from making us verify with huge keys of other kinds.
  const EVP_PKEY* key = X509_get0_pubkey(certificate.get());
  if (!key || EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519) {
    ERR_clear_error();
    return Fail(Code::kMalformed, "a certificate's key is not an Ed25519 key");
  }
  return certificate;
}

std::string SerialOf(const ASN1_INTEGER* serial) {
  return ToHex({ASN1_STRING_get0_data(serial), static_cast<size_t>(ASN1_STRING_length(serial))});
}

std::string CommonNameOf(X509* certificate) {
  char text[80] = "?";
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text, sizeof(text));
  return text;
}

void SetCommonName(X509_NAME* subject, const std::string& name) {
  TRIBUTARY_CHECK(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                             reinterpret_cast<const uint8_t*>(name.data()),
                                             static_cast<int>(name.size()), -1, 0) == 1)
      << "common name '" << name << "'";
}

int64_t UnixSeconds(const ASN1_TIME* time) {
  struct tm fields {};
  if (ASN1_TIME_to_tm(time, &fields) != 1) return 0;
  return timegm(&fields);
}

Status SetTime(ASN1_TIME* time, WallTime when) {
  const int64_t second = when.unix_seconds();
  if (second < 0 || second > kLastSecond) {
    return Fail(Code::kInvalidArgument, "a certificate cannot say second {}", second);
  }
  TRIBUTARY_CHECK(ASN1_TIME_set(time, second) != nullptr);
  return {};
}

Result<Subject> SubjectOf(X509* leaf) {
  const Names names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(leaf, NID_subject_alt_name, nullptr, nullptr)));
  if (!names) return Fail(Code::kMalformed, "the certificate has not exactly one subjectAltName");
  ASSIGN_OR_RETURN(const auto uris, UrisOf(names.get()));
  return SubjectFromUris(uris);
}

Result<std::vector<std::string_view>> UrisOf(const GENERAL_NAMES* names) {
  std::vector<std::string_view> uris;
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_URI) return Fail(Code::kMalformed, "the certificate has a subjectAltName that is not a URI");
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                      static_cast<size_t>(ASN1_STRING_length(uri)));
  }
  return uris;
}

std::string AltNames(const std::vector<std::string>& uris) {
  std::string names;
  for (const auto& uri : uris) names += (names.empty() ? "URI:" : ",URI:") + uri;
  return names;
}

Result<std::vector<PemBlock>> PemBlocks(std::string_view text) {
  std::vector<PemBlock> blocks;
  if (text.empty()) return blocks;  // a BIO over nothing is an error
  const Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  TRIBUTARY_CHECK(bio != nullptr);
  char* name = nullptr;
  char* header = nullptr;
  uint8_t* data = nullptr;
  long size = 0;
  while (PEM_read_bio(bio.get(), &name, &header, &data, &size) == 1) {
    blocks.push_back({name, ToBytes({data, static_cast<size_t>(size)})});
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
  }
  const bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;  // how OpenSSL says "no more"
  ERR_clear_error();
  if (!ended) return Fail(Code::kMalformed, "a PEM block is broken");
  return blocks;
}

std::string PemText(const char* name, ByteView der) {
  const Bio bio(BIO_new(BIO_s_mem()));
  TRIBUTARY_CHECK(bio && PEM_write_bio(bio.get(), name, "", der.data(), static_cast<long>(der.size())) > 0);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

}  // namespace tributary

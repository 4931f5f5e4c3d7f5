#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/trust/identity/certificate.h"
#include "protocol/trust/seal/native_key.h"
#include "protocol/trust/seal/signing.h"

// The parts of certificates, requests and revocation lists. Included by the .cc files of this folder only.
namespace tributary {

using X509Handle = Owned<X509, X509_free>;
using Key = Owned<EVP_PKEY, EVP_PKEY_free>;
using Bio = Owned<BIO, BIO_free>;
inline void FreeNames(GENERAL_NAMES* names) { GENERAL_NAMES_free(names); }
using Names = Owned<GENERAL_NAMES, FreeNames>;

EVP_PKEY* Handle(const SigningKey& key);
Bytes RawPublicKey(const EVP_PKEY* key);  // of an Ed25519 key

// DER of anything that OpenSSL has an i2d function for.
template <auto I2d, class T>
Bytes ToDer(T* object) {
  const int size = I2d(object, nullptr);
  TRIBUTARY_CHECK(size > 0);
  Bytes der(static_cast<size_t>(size));
  uint8_t* end = der.data();
  TRIBUTARY_CHECK(I2d(object, &end) == size);
  return der;
}

// The whole of `der` and nothing after it, encoded as DER and no other way: what is signed has one form, so that nobody
// can make a second with another digest. Null otherwise; OpenSSL's errors are cleared.
X509Handle CertificateFromDer(ByteView der);
Owned<X509_REQ, X509_REQ_free> RequestFromDer(ByteView der);
Owned<X509_CRL, X509_CRL_free> CrlFromDer(ByteView der);
// The same for what may come from outside, within its limit and with an Ed25519 key: kTooLarge, kMalformed.
Result<X509Handle> ParseCertificate(ByteView der);

// Lower-case hexadecimal of the magnitude: at least one byte.
std::string SerialOf(const ASN1_INTEGER* serial);
std::string CommonNameOf(X509* certificate);
void SetCommonName(X509_NAME* subject, const std::string& name);
int64_t UnixSeconds(const ASN1_TIME* time);
// Sets one date. kInvalidArgument: outside of the years 1970 to 9999.
Status SetTime(ASN1_TIME* time, WallTime when);

// The member that a certificate names. kMalformed.
Result<Subject> SubjectOf(X509* leaf);
// The URIs of a subjectAltName, which holds nothing else. kMalformed. The views last as long as the names.
Result<std::vector<std::string_view>> UrisOf(const GENERAL_NAMES* names);
// In the syntax of OpenSSL's configuration files. The URIs hold names and hexadecimal only, so that none can end its
// place in it.
std::string AltNames(const std::vector<std::string>& uris);

struct PemBlock {
  std::string name;
  Bytes der;
};
// All blocks of a text, in order; what stands between them is skipped, as other programs do. kMalformed: a block that
// is broken off or is not base64.
Result<std::vector<PemBlock>> PemBlocks(std::string_view text);
std::string PemText(const char* name, ByteView der);

}  // namespace tributary

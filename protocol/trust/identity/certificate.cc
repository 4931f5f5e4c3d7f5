#include "protocol/trust/identity/certificate.h"

#include <algorithm>

#include <openssl/pem.h>

#include "protocol/base/limits.h"
#include "protocol/trust/identity/x509_parts.h"

namespace tributary {
namespace {

// Base64 and the two lines around it make a PEM less than twice as long as its DER.
constexpr size_t kPemBytes = 2 * limits::kCertificateBytes * limits::kCertificateChain;

}  // namespace

std::string CertificateToPem(const Certificate& certificate) { return PemText(PEM_STRING_X509, certificate.der); }

Result<std::vector<Certificate>> CertificatesFromPem(std::string_view pem) {
  if (pem.size() > kPemBytes) {
    return Fail(Code::kTooLarge, "certificates of {} bytes; the limit is {}", pem.size(), kPemBytes);
  }
  auto blocks = PemBlocks(pem);
  if (!blocks || blocks->empty()) return Fail(Code::kMalformed, "not a certificate in PEM");
  std::vector<Certificate> certificates;
  for (PemBlock& block : *blocks) {
    if (block.name != PEM_STRING_X509 || !CertificateFromDer(block.der)) {
      return Fail(Code::kMalformed, "not a certificate in PEM");
    }
    certificates.push_back({std::move(block.der)});
  }
  return certificates;
}

Result<Certificate> CertificateFromPem(std::string_view pem) {
  ASSIGN_OR_RETURN(std::vector<Certificate> certificates, CertificatesFromPem(pem));
  if (certificates.size() != 1) {
    return Fail(Code::kMalformed, "{} certificates where one is wanted", certificates.size());
  }
  return std::move(certificates.front());
}

std::string CommonName(const Certificate& certificate) {
  const X509Handle parsed = CertificateFromDer(certificate.der);
  return parsed ? CommonNameOf(parsed.get()) : "?";
}

std::string SerialNumber(const Certificate& certificate) {
  const X509Handle parsed = CertificateFromDer(certificate.der);
  return parsed ? SerialOf(X509_get0_serialNumber(parsed.get())) : "";
}

Result<Subject> ReadSubject(const Certificate& certificate) {
  ASSIGN_OR_RETURN(const X509Handle parsed, ParseCertificate(certificate.der));
  return SubjectOf(parsed.get());
}

Result<WallTime> EndOf(const Certificate& certificate) {
  ASSIGN_OR_RETURN(const X509Handle parsed, ParseCertificate(certificate.der));
  return WallTime{UnixSeconds(X509_get0_notAfter(parsed.get())) * 1000};
}

}  // namespace tributary

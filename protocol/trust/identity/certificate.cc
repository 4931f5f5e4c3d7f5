#include "protocol/trust/identity/certificate.h"

#include <algorithm>
#include <array>
#include <map>

#include <openssl/pem.h>

#include "protocol/base/limits.h"
#include "protocol/trust/identity/x509_parts.h"

namespace tributary {
namespace {

// Base64 and the two lines around it make a PEM less than twice as long as its DER.
constexpr size_t kPemBytes = 2 * limits::kCertificateBytes * limits::kCertificateChain;

constexpr std::string_view kPrefix = "urn:tributary:";

// In the order of Role.
constexpr std::array<std::string_view, 4> kRoles = {"device", "evaluator", "gateway", "aggregator"};

std::string Uri(std::string_view field, std::string_view value) {
  return std::string(kPrefix) + std::string(field) + ":" + std::string(value);
}

// field -> value. Only lower-case hexadecimal and names follow, so one subject has one text form.
Result<std::map<std::string_view, std::string_view>> Fields(const std::vector<std::string_view>& uris) {
  std::map<std::string_view, std::string_view> fields;
  for (std::string_view uri : uris) {
    const size_t colon = uri.find(':', std::min(kPrefix.size(), uri.size()));
    if (!uri.starts_with(kPrefix) || colon == std::string_view::npos) {
      return Fail(Code::kMalformed, "the certificate names something that is not of a fleet");
    }
    const std::string_view field = uri.substr(kPrefix.size(), colon - kPrefix.size());
    if (field != "id" && field != "role" && field != "class" && field != "curve") {
      return Fail(Code::kMalformed, "the certificate has a urn:tributary name of an unknown kind");
    }
    if (!fields.emplace(field, uri.substr(colon + 1)).second) {
      return Fail(Code::kMalformed, "the certificate has urn:tributary:{} twice", field);
    }
  }
  return fields;
}

Result<Bytes> CurveKeyFrom(std::string_view hex) {
  ASSIGN_OR_RETURN(Bytes key, FromHex(hex));
  if (ToHex(key) != hex) return Fail(Code::kMalformed, "a CURVE public key is not in lower case");
  if (key.size() != kCurveKeyBytes) return Fail(Code::kMalformed, "a CURVE public key is {} bytes, not 32", key.size());
  return key;
}

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

std::string_view RoleName(Role role) {
  const auto index = static_cast<size_t>(role);
  TRIBUTARY_CHECK(index < kRoles.size()) << index;
  return kRoles[index];
}

std::optional<Role> RoleByName(std::string_view name) {
  const auto* found = std::ranges::find(kRoles, name);
  if (found == kRoles.end()) return std::nullopt;
  return static_cast<Role>(found - kRoles.begin());
}

Result<std::vector<std::string>> SubjectToUris(const Subject& subject) {
  if (subject.id.empty()) return Fail(Code::kInvalidArgument, "a certificate needs an id");
  if (subject.curve_public_key.size() != kCurveKeyBytes) {
    return Fail(Code::kInvalidArgument, "the CURVE public key of {} is {} bytes, not 32", subject.id.text(),
                subject.curve_public_key.size());
  }
  std::vector<std::string> uris = {Uri("id", subject.id.text()), Uri("role", RoleName(subject.role))};
  if (!subject.device_class.empty()) {
    if (auto named = CheckName(subject.device_class, "device class"); !named) {
      return Fail(Code::kInvalidArgument, named.error().message);
    }
    uris.push_back(Uri("class", subject.device_class));
  }
  uris.push_back(Uri("curve", ToHex(subject.curve_public_key)));
  return uris;
}

Result<Subject> SubjectFromUris(const std::vector<std::string_view>& uris) {
  ASSIGN_OR_RETURN(const auto fields, Fields(uris));
  for (std::string_view needed : {"id", "role", "curve"}) {
    if (!fields.contains(needed)) return Fail(Code::kMalformed, "the certificate has no urn:tributary:{}", needed);
  }
  Subject subject;
  ASSIGN_OR_RETURN(subject.id, DeviceId::Parse(fields.at("id")));
  const auto role = RoleByName(fields.at("role"));
  if (!role) return Fail(Code::kMalformed, "the certificate of {} has an unknown role", subject.id.text());
  subject.role = *role;
  if (const auto found = fields.find("class"); found != fields.end()) {
    RETURN_IF_ERROR(CheckName(found->second, "device class"));
    subject.device_class = found->second;
  }
  ASSIGN_OR_RETURN(subject.curve_public_key, CurveKeyFrom(fields.at("curve")));
  return subject;
}

Result<std::vector<std::string>> RequestToUris(const CertificateRequest& request) {
  if (request.curve_public_key.size() != kCurveKeyBytes) {
    return Fail(Code::kInvalidArgument, "a CURVE public key is 32 bytes, not {}", request.curve_public_key.size());
  }
  std::vector<std::string> uris;
  if (request.id) uris.push_back(Uri("id", request.id->text()));
  uris.push_back(Uri("curve", ToHex(request.curve_public_key)));
  return uris;
}

Result<CertificateRequest> RequestFromUris(const std::vector<std::string_view>& uris) {
  ASSIGN_OR_RETURN(const auto fields, Fields(uris));
  for (std::string_view given : {"role", "class"}) {
    if (fields.contains(given)) {
      return Fail(Code::kMalformed, "a certificate request names its own urn:tributary:{}", given);
    }
  }
  if (!fields.contains("curve")) return Fail(Code::kMalformed, "a certificate request has no urn:tributary:curve");
  CertificateRequest request;
  ASSIGN_OR_RETURN(request.curve_public_key, CurveKeyFrom(fields.at("curve")));
  if (const auto found = fields.find("id"); found != fields.end()) {
    ASSIGN_OR_RETURN(request.id, DeviceId::Parse(found->second));
  }
  return request;
}

}  // namespace tributary

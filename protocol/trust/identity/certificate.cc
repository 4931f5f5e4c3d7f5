#include "protocol/trust/identity/certificate.h"

#include <algorithm>
#include <array>
#include <map>

#include <openssl/err.h>
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

using Request = Owned<X509_REQ, X509_REQ_free>;

void FreeExtensions(STACK_OF(X509_EXTENSION) * extensions) {
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}
using Extensions = Owned<STACK_OF(X509_EXTENSION), FreeExtensions>;

Status CheckForm(ByteView der, const X509_REQ* request, EVP_PKEY* key) {
  if (!request || X509_REQ_get_version(request) != X509_REQ_VERSION_1) {
    return Fail(Code::kMalformed, "not a certificate request (PKCS#10) in DER of {} bytes", der.size());
  }
  if (!key || EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519) {
    return Fail(Code::kMalformed, "the key of a certificate request is not an Ed25519 key");
  }
  return {};
}

// The one extension that a request may ask for.
Result<Names> RequestedNames(X509_REQ* request) {
  const Extensions extensions(X509_REQ_get_extensions(request));
  if (X509_REQ_get_attr_count(request) != 1 || sk_X509_EXTENSION_num(extensions.get()) != 1) {
    return Fail(Code::kMalformed, "a certificate request asks for other than one subjectAltName");
  }
  Names names(static_cast<GENERAL_NAMES*>(X509V3_get_d2i(extensions.get(), NID_subject_alt_name, nullptr, nullptr)));
  if (!names) return Fail(Code::kMalformed, "a certificate request has no subjectAltName");
  return names;
}

void AddAltNames(X509_REQ* request, const std::string& names) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, nullptr, nullptr, request, nullptr, 0);
  const Extensions extensions(sk_X509_EXTENSION_new_null());
  X509_EXTENSION* extension = X509V3_EXT_nconf_nid(nullptr, &context, NID_subject_alt_name, names.c_str());
  TRIBUTARY_CHECK(extensions && extension && sk_X509_EXTENSION_push(extensions.get(), extension) > 0 &&
                  X509_REQ_add_extensions(request, extensions.get()) == 1)
      << names;
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

Result<Bytes> MakeCertificateRequest(const SigningKey& key, const std::optional<DeviceId>& id,
                                     ByteView curve_public_key) {
  if (curve_public_key.size() != kCurveKeyBytes) {
    return Fail(Code::kInvalidArgument, "a CURVE public key is 32 bytes, not {}", curve_public_key.size());
  }
  std::vector<std::string> uris;
  if (id) uris.push_back(Uri("id", id->text()));
  uris.push_back(Uri("curve", ToHex(curve_public_key)));
  const Request request(X509_REQ_new());
  TRIBUTARY_CHECK(request && X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
                  X509_REQ_set_pubkey(request.get(), Handle(key)) == 1);
  if (id) {  // for people who look at it; the fleet reads the subjectAltName
    SetCommonName(X509_REQ_get_subject_name(request.get()), id->text());
  }
  AddAltNames(request.get(), AltNames(uris));
  TRIBUTARY_CHECK(X509_REQ_sign(request.get(), Handle(key), nullptr) > 0);  // Ed25519 hashes by itself
  return ToDer<i2d_X509_REQ>(request.get());
}

Result<CertificateRequest> ReadCertificateRequest(ByteView der) {
  if (der.size() > limits::kCertificateBytes) {
    return Fail(Code::kTooLarge, "a certificate request of {} bytes; the limit is {}", der.size(),
                limits::kCertificateBytes);
  }
  const Request request = RequestFromDer(der);
  EVP_PKEY* key = request ? X509_REQ_get0_pubkey(request.get()) : nullptr;
  auto read = [&]() -> Result<CertificateRequest> {
    RETURN_IF_ERROR(CheckForm(der, request.get(), key));
    if (X509_REQ_verify(request.get(), key) != 1) {
      return Fail(Code::kBadSignature, "the certificate request is not signed by the key in it");
    }
    ASSIGN_OR_RETURN(const Names names, RequestedNames(request.get()));
    ASSIGN_OR_RETURN(const auto uris, UrisOf(names.get()));
    ASSIGN_OR_RETURN(CertificateRequest found, RequestFromUris(uris));
    found.public_key = RawPublicKey(key);
    return found;
  }();
  ERR_clear_error();
  return read;
}

}  // namespace tributary

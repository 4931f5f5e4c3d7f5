#include "protocol/trust/identity/certificate_request.h"

#include <openssl/err.h>

#include "protocol/base/limits.h"
#include "protocol/trust/identity/x509_parts.h"

namespace tributary {
namespace {

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

Result<CertificateRequest> Read(X509_REQ* request, EVP_PKEY* key) {
  ASSIGN_OR_RETURN(const Names names, RequestedNames(request));
  ASSIGN_OR_RETURN(const auto uris, UrisOf(names.get()));
  ASSIGN_OR_RETURN(CertificateRequest read, RequestFromUris(uris));
  read.public_key = RawPublicKey(key);
  return read;
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

Result<Bytes> MakeCertificateRequest(const SigningKey& key, const std::optional<DeviceId>& id,
                                     ByteView curve_public_key) {
  ASSIGN_OR_RETURN(const auto uris, RequestToUris({id, ToBytes(curve_public_key), {}}));
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
    return Read(request.get(), key);
  }();
  ERR_clear_error();
  return read;
}

}  // namespace tributary

#include <algorithm>
#include <ctime>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "protocol/base/limits.h"
#include "protocol/seal/certificate.h"
#include "protocol/seal/owned.h"
#include "protocol/seal/subject_names.h"

namespace tributary {
namespace {

using X509Handle = Owned<X509, X509_free>;
using StoreContext = Owned<X509_STORE_CTX, X509_STORE_CTX_free>;

void FreeNames(GENERAL_NAMES* names) { GENERAL_NAMES_free(names); }
void FreeStack(STACK_OF(X509) * stack) { sk_X509_free(stack); }  // the certificates belong to somebody else
using Stack = Owned<STACK_OF(X509), FreeStack>;

// The whole of `der` and nothing after it, encoded as DER and no other way: a certificate has one form, so that nobody
// can make a second with another digest.
Result<X509Handle> ParseStrictly(ByteView der) {
  if (der.size() > limits::kCertificateBytes) {
    return Fail(Code::kTooLarge, "a certificate of " + std::to_string(der.size()) + " bytes; the limit is " +
                                     std::to_string(limits::kCertificateBytes));
  }
  const uint8_t* at = der.data();
  X509Handle certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  uint8_t* again = nullptr;
  const int size = certificate ? i2d_X509(certificate.get(), &again) : -1;
  const bool same = size >= 0 && std::ranges::equal(ByteView(again, static_cast<size_t>(size)), der);
  OPENSSL_free(again);
  if (!same) {
    ERR_clear_error();
    return Fail(Code::kMalformed, "not an X.509 certificate in DER");
  }
  // Also keeps a peer from making us verify with huge keys of other kinds.
  const EVP_PKEY* key = X509_get0_pubkey(certificate.get());
  if (!key || EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519) {
    ERR_clear_error();
    return Fail(Code::kMalformed, "a certificate's key is not an Ed25519 key");
  }
  return certificate;
}

int64_t UnixSeconds(const ASN1_TIME* time) {
  struct tm fields {};
  if (ASN1_TIME_to_tm(time, &fields) != 1) return 0;
  return timegm(&fields);
}

// "3 days", "2 h", "40 s": the largest unit is what the person on call needs.
std::string Span(int64_t seconds) {
  if (seconds >= 2 * 86'400) return std::to_string(seconds / 86'400) + " days";
  if (seconds >= 2 * 3'600) return std::to_string(seconds / 3'600) + " h";
  if (seconds >= 120) return std::to_string(seconds / 60) + " min";
  return std::to_string(seconds) + " s";
}

std::string CommonName(X509* certificate) {
  char text[80] = "?";
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text, sizeof(text));
  return text;
}

// Why X509_verify_cert said no, in our codes.
tl::unexpected<Error> Explain(X509_STORE_CTX* context, WallTime now) {
  const int error = X509_STORE_CTX_get_error(context);
  X509* culprit = X509_STORE_CTX_get_current_cert(context);
  ERR_clear_error();
  const std::string who = culprit ? "the certificate of '" + CommonName(culprit) + "'" : "the certificate";
  const int64_t seconds = now.unix_millis / 1000;
  if (culprit && error == X509_V_ERR_CERT_HAS_EXPIRED) {
    return Fail(Code::kExpiredCertificate,
                who + " expired " + Span(seconds - UnixSeconds(X509_get0_notAfter(culprit))) + " ago");
  }
  if (culprit && error == X509_V_ERR_CERT_NOT_YET_VALID) {
    return Fail(Code::kExpiredCertificate, who + " is not valid before " +
                                               Span(UnixSeconds(X509_get0_notBefore(culprit)) - seconds) + " from now");
  }
  return Fail(Code::kUnknownCertificate,
              who + " was not issued by this fleet's CA: " + X509_verify_cert_error_string(error));
}

Result<Subject> SubjectOf(X509* leaf) {
  const Owned<GENERAL_NAMES, FreeNames> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(leaf, NID_subject_alt_name, nullptr, nullptr)));
  if (!names) return Fail(Code::kMalformed, "the certificate has not exactly one subjectAltName");
  std::vector<std::string_view> uris;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) return Fail(Code::kMalformed, "the certificate has a subjectAltName that is not a URI");
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                      static_cast<size_t>(ASN1_STRING_length(uri)));
  }
  return SubjectFromUris(uris);
}

std::string SerialOf(X509* certificate) {
  const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate);
  return ToHex({ASN1_STRING_get0_data(serial), static_cast<size_t>(ASN1_STRING_length(serial))});
}

// A member's certificate signs messages, not certificates.
Status CheckLeaf(X509* leaf) {
  if (X509_check_ca(leaf) != 0 || (X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE) == 0) {
    return Fail(Code::kUnknownCertificate, "the certificate of '" + CommonName(leaf) + "' is not a member's");
  }
  return {};
}

}  // namespace

// OpenSSL locks inside a store, so that one serves all threads.
struct TrustAnchor::State {
  Owned<X509_STORE, X509_STORE_free> store;
  int64_t not_after = 0;  // seconds
};

Result<TrustAnchor> TrustAnchor::FromCertificate(const Certificate& ca) {
  ASSIGN_OR_RETURN(const X509Handle certificate, ParseStrictly(ca.der));
  if (X509_check_ca(certificate.get()) != 1 ||
      X509_verify(certificate.get(), X509_get0_pubkey(certificate.get())) != 1) {
    ERR_clear_error();
    return Fail(Code::kMalformed,
                "the certificate of '" + CommonName(certificate.get()) + "' is not a self-signed CA's");
  }
  auto state = std::make_shared<State>();
  state->store.reset(X509_STORE_new());
  TRIBUTARY_CHECK(state->store && X509_STORE_add_cert(state->store.get(), certificate.get()) == 1);
  state->not_after = UnixSeconds(X509_get0_notAfter(certificate.get()));
  return TrustAnchor(std::move(state));
}

Result<VerifiedIdentity> TrustAnchor::Verify(std::span<const Bytes> chain, WallTime now) const {
  if (chain.empty()) return Fail(Code::kMalformed, "an empty certificate chain");
  if (chain.size() > limits::kCertificateChain) {
    return Fail(Code::kTooLarge, "a chain of " + std::to_string(chain.size()) + " certificates; the limit is " +
                                     std::to_string(limits::kCertificateChain));
  }
  std::vector<X509Handle> certificates;
  const Stack others(sk_X509_new_null());
  int64_t not_after = state_->not_after;
  for (const Bytes& der : chain) {
    ASSIGN_OR_RETURN(X509Handle certificate, ParseStrictly(der));
    not_after = std::min(not_after, UnixSeconds(X509_get0_notAfter(certificate.get())));
    if (!certificates.empty()) {
      TRIBUTARY_CHECK(others && sk_X509_push(others.get(), certificate.get()) > 0);
    }
    certificates.push_back(std::move(certificate));
  }
  X509* leaf = certificates.front().get();

  const StoreContext context(X509_STORE_CTX_new());
  TRIBUTARY_CHECK(context && X509_STORE_CTX_init(context.get(), state_->store.get(), leaf, others.get()) == 1);
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, now.unix_millis / 1000);
  X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_ANY);
  X509_VERIFY_PARAM_set_depth(parameters, static_cast<int>(limits::kCertificateChain));
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT);
  if (X509_verify_cert(context.get()) != 1) return Explain(context.get(), now);
  RETURN_IF_ERROR(CheckLeaf(leaf));

  VerifiedIdentity identity;
  ASSIGN_OR_RETURN(identity.subject, SubjectOf(leaf));
  identity.public_key.resize(kSigningPublicKeyBytes);
  size_t size = identity.public_key.size();
  TRIBUTARY_CHECK(EVP_PKEY_get_raw_public_key(X509_get0_pubkey(leaf), identity.public_key.data(), &size) == 1);
  identity.not_after = {not_after * 1000};
  identity.serial = SerialOf(leaf);
  return identity;
}

}  // namespace tributary

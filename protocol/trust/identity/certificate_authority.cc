#include "protocol/trust/identity/certificate_authority.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "protocol/trust/identity/trust_anchor.h"
#include "protocol/trust/identity/x509_parts.h"

namespace tributary {
namespace {

constexpr size_t kCommonNameCharacters = 64;  // ub-common-name of RFC 5280 appendix A

void SetRandomSerial(X509* certificate) {
  uint8_t bytes[16];
  TRIBUTARY_CHECK(RAND_bytes(bytes, sizeof(bytes)) == 1);
  bytes[0] = static_cast<uint8_t>((bytes[0] & 0x7f) | 0x40);  // never negative nor zero, and always of full length
  const Owned<BIGNUM, BN_free> number(BN_bin2bn(bytes, sizeof(bytes), nullptr));
  TRIBUTARY_CHECK(number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr);
}

Status SetValidity(X509* certificate, WallTime now, Millis lifetime) {
  // The upper bound, ten thousand years, keeps the sum from overflowing; SetTime knows which dates can be said.
  constexpr Millis kLongest = std::chrono::hours(24) * 3'652'500;
  if (lifetime < Millis(1000) || lifetime > kLongest) {
    return Fail(Code::kInvalidArgument, "a certificate cannot be valid for {} ms", lifetime.count());
  }
  RETURN_IF_ERROR(SetTime(X509_getm_notBefore(certificate), now));
  return SetTime(X509_getm_notAfter(certificate), now + lifetime);
}

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION, X509_EXTENSION_free> extension(
      X509V3_EXT_nconf_nid(nullptr, &context, nid, value.c_str()));
  TRIBUTARY_CHECK(extension && X509_add_ext(certificate, extension.get(), -1) == 1) << OBJ_nid2sn(nid) << "=" << value;
}

// The names of the two keys, and the signature. `issuer` is null for a certificate that issues itself.
Certificate SignCertificate(X509* certificate, X509* issuer, const SigningKey& key) {
  AddExtension(certificate, issuer ? issuer : certificate, NID_subject_key_identifier, "hash");
  if (issuer) AddExtension(certificate, issuer, NID_authority_key_identifier, "keyid:always");
  TRIBUTARY_CHECK(X509_sign(certificate, Handle(key), nullptr) > 0);  // Ed25519 hashes by itself
  return {ToDer<i2d_X509>(certificate)};
}

// A certificate of version 3 with a serial of its own. Without `issuer` it issues itself.
Result<X509Handle> NewCertificate(EVP_PKEY* public_key, const std::string& name, X509* issuer, WallTime now,
                                  Millis lifetime) {
  X509Handle certificate(X509_new());
  TRIBUTARY_CHECK(certificate && X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
                  X509_set_pubkey(certificate.get(), public_key) == 1);
  SetRandomSerial(certificate.get());
  RETURN_IF_ERROR(SetValidity(certificate.get(), now, lifetime));
  SetCommonName(X509_get_subject_name(certificate.get()), name);
  X509* parent = issuer ? issuer : certificate.get();
  TRIBUTARY_CHECK(X509_set_issuer_name(certificate.get(), X509_get_subject_name(parent)) == 1);
  return certificate;
}

Status CheckKey(const SigningKey& key, const Certificate& certificate, std::string_view whose) {
  const X509Handle parsed = CertificateFromDer(certificate.der);
  const bool same = EVP_PKEY_eq(X509_get0_pubkey(parsed.get()), Handle(key)) == 1;
  ERR_clear_error();
  if (same) return {};
  return Fail(Code::kMalformed, "the {}'s key is not the one in its certificate", whose);
}

}  // namespace

CertificateAuthority CertificateAuthority::Create(const std::string& fleet, WallTime now, Millis lifetime) {
  SigningKey key = SigningKey::Generate();
  auto made = NewCertificate(Handle(key), fleet, nullptr, now, lifetime);
  TRIBUTARY_CHECK(made.has_value()) << made.error().message;
  X509* certificate = made->get();
  AddExtension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  Certificate root = SignCertificate(certificate, nullptr, key);
  return CertificateAuthority(std::move(key), std::move(root), {});
}

Result<CertificateAuthority> CertificateAuthority::Load(const SecretBytes& key_pem, const std::string& ca_pem,
                                                        const std::optional<std::string>& issuer_pem) {
  ASSIGN_OR_RETURN(SigningKey key, SigningKey::FromPem(key_pem));
  ASSIGN_OR_RETURN(Certificate root, CertificateFromPem(ca_pem));
  ASSIGN_OR_RETURN(const TrustAnchor anchor, TrustAnchor::FromCertificate(root));
  std::vector<Certificate> chain;
  if (issuer_pem) {
    ASSIGN_OR_RETURN(chain.emplace_back(), CertificateFromPem(*issuer_pem));
    if (auto of_ca = anchor.IssuerKey(chain); !of_ca) {
      return Fail(Code::kMalformed, "the issuer's certificate is not of this CA: {}", of_ca.error().message);
    }
  }
  RETURN_IF_ERROR(issuer_pem ? CheckKey(key, chain.front(), "issuer") : CheckKey(key, root, "CA"));
  return CertificateAuthority(std::move(key), std::move(root), std::move(chain));
}

Result<CertificateAuthority> CertificateAuthority::CreateIssuer(const std::string& name, WallTime now,
                                                                Millis lifetime) const {
  if (!chain_.empty())
    return Fail(Code::kInvalidArgument, "an issuer makes no further issuers: only the fleet's CA may");
  if (name.empty() || name.size() > kCommonNameCharacters) {
    return Fail(Code::kInvalidArgument, "an issuer's name has 1 to 64 characters, not {}", name.size());
  }
  SigningKey key = SigningKey::Generate();
  const X509Handle parent = CertificateFromDer(root_.der);
  ASSIGN_OR_RETURN(const X509Handle made, NewCertificate(Handle(key), name, parent.get(), now, lifetime));
  AddExtension(made.get(), parent.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  AddExtension(made.get(), parent.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  Certificate issuer = SignCertificate(made.get(), parent.get(), key_);
  return CertificateAuthority(std::move(key), root_, {std::move(issuer)});
}

Result<Certificate> CertificateAuthority::Issue(const Subject& subject, ByteView public_key, WallTime now,
                                                Millis lifetime) const {
  ASSIGN_OR_RETURN(const std::vector<std::string> uris, SubjectToUris(subject));
  if (public_key.size() != kSigningPublicKeyBytes) {
    return Fail(Code::kInvalidArgument, "an Ed25519 public key is 32 bytes, not {}", public_key.size());
  }
  const Key holder(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, public_key.data(), public_key.size()));
  const X509Handle issuer = CertificateFromDer(certificate().der);
  TRIBUTARY_CHECK(holder && issuer);
  ASSIGN_OR_RETURN(const X509Handle made, NewCertificate(holder.get(), subject.id.text(), issuer.get(), now, lifetime));
  AddExtension(made.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE");
  AddExtension(made.get(), issuer.get(), NID_key_usage, "critical,digitalSignature");
  AddExtension(made.get(), issuer.get(), NID_subject_alt_name, AltNames(uris));
  return SignCertificate(made.get(), issuer.get(), key_);
}

}  // namespace tributary

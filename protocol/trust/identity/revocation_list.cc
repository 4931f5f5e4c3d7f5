#include "protocol/trust/identity/revocation_list.h"

#include <algorithm>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "protocol/base/limits.h"
#include "protocol/trust/identity/x509_parts.h"

namespace tributary {
namespace {

using Crl = Owned<X509_CRL, X509_CRL_free>;
using Revoked = Owned<X509_REVOKED, X509_REVOKED_free>;
using Integer = Owned<ASN1_INTEGER, ASN1_INTEGER_free>;
using Time = Owned<ASN1_TIME, ASN1_TIME_free>;

constexpr size_t kSerialBytes = 20;  // RFC 5280 section 4.1.2.2

Result<Integer> SerialFrom(const std::string& hex) {
  auto bytes = FromHex(hex);
  if (!bytes || bytes->empty() || bytes->size() > kSerialBytes) {
    return Fail(Code::kInvalidArgument, "'{}' is not a certificate's serial number", hex);
  }
  const Owned<BIGNUM, BN_free> number(BN_bin2bn(bytes->data(), static_cast<int>(bytes->size()), nullptr));
  Integer serial(BN_to_ASN1_INTEGER(number.get(), nullptr));
  TRIBUTARY_CHECK(serial != nullptr);
  return serial;
}

Status AddRevoked(X509_CRL* crl, const std::string& serial, const ASN1_TIME* since) {
  ASSIGN_OR_RETURN(const Integer number, SerialFrom(serial));
  Revoked entry(X509_REVOKED_new());
  TRIBUTARY_CHECK(entry && X509_REVOKED_set_serialNumber(entry.get(), number.get()) == 1 &&
                  X509_REVOKED_set_revocationDate(entry.get(), const_cast<ASN1_TIME*>(since)) == 1 &&
                  X509_CRL_add0_revoked(crl, entry.get()) == 1);
  static_cast<void>(entry.release());
  return {};
}

Status SetDates(X509_CRL* crl, WallTime now, Millis lifetime) {
  const Time time(ASN1_TIME_new());
  TRIBUTARY_CHECK(time != nullptr);
  RETURN_IF_ERROR(SetTime(time.get(), now));
  TRIBUTARY_CHECK(X509_CRL_set1_lastUpdate(crl, time.get()) == 1);
  RETURN_IF_ERROR(SetTime(time.get(), now + lifetime));
  TRIBUTARY_CHECK(X509_CRL_set1_nextUpdate(crl, time.get()) == 1);
  return {};
}

void AddExtensions(X509_CRL* crl, X509* issuer, uint64_t number) {
  const Integer value(ASN1_INTEGER_new());
  TRIBUTARY_CHECK(value && ASN1_INTEGER_set_uint64(value.get(), number) == 1 &&
                  X509_CRL_add1_ext_i2d(crl, NID_crl_number, value.get(), 0, 0) == 1);
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, nullptr, nullptr, crl, 0);
  const Owned<X509_EXTENSION, X509_EXTENSION_free> extension(
      X509V3_EXT_nconf_nid(nullptr, &context, NID_authority_key_identifier, "keyid:always"));
  TRIBUTARY_CHECK(extension && X509_CRL_add_ext(crl, extension.get(), -1) == 1);
}

// A critical extension changes what a list means (deltas, lists of other issuers): RFC 5280 section 5.2.
Status RefuseCritical(bool critical) {
  if (!critical) return {};
  return Fail(Code::kMalformed, "the revocation list has a critical extension, which nobody here understands");
}

Result<uint64_t> NumberOf(X509_CRL* crl) {
  RETURN_IF_ERROR(RefuseCritical(X509_CRL_get_ext_by_critical(crl, 1, -1) >= 0));
  const Integer number(static_cast<ASN1_INTEGER*>(X509_CRL_get_ext_d2i(crl, NID_crl_number, nullptr, nullptr)));
  uint64_t value = 0;
  if (!number || ASN1_INTEGER_get_uint64(&value, number.get()) != 1) {
    return Fail(Code::kMalformed, "the revocation list has no number");
  }
  return value;
}

Result<std::set<std::string>> SerialsOf(X509_CRL* crl) {
  std::set<std::string> serials;
  const auto* entries = X509_CRL_get_REVOKED(crl);
  for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i) {
    const X509_REVOKED* entry = sk_X509_REVOKED_value(entries, i);
    RETURN_IF_ERROR(RefuseCritical(X509_REVOKED_get_ext_by_critical(entry, 1, -1) >= 0));
    serials.insert(SerialOf(X509_REVOKED_get0_serialNumber(entry)));
  }
  return serials;
}

Result<RevocationList::Issuer> ReadCrl(ByteView der, std::vector<Certificate> chain, const TrustAnchor& anchor) {
  RevocationList::Issuer issuer;
  ASSIGN_OR_RETURN(issuer.public_key, anchor.IssuerKey(chain));
  const Crl crl = CrlFromDer(der);
  if (!crl || X509_CRL_get_version(crl.get()) != X509_CRL_VERSION_2) {
    return Fail(Code::kMalformed, "not a revocation list (X.509 CRL, version 2) in DER");
  }
  const X509Handle signer = CertificateFromDer(chain.empty() ? anchor.ca().der : chain.front().der);
  if (X509_NAME_cmp(X509_CRL_get_issuer(crl.get()), X509_get_subject_name(signer.get())) != 0) {
    return Fail(Code::kUnknownCertificate, "the revocation list is of another issuer than '{}'",
                CommonNameOf(signer.get()));
  }
  if (X509_CRL_verify(crl.get(), X509_get0_pubkey(signer.get())) != 1) {
    return Fail(Code::kBadSignature, "the revocation list is not signed by '{}'", CommonNameOf(signer.get()));
  }
  ASSIGN_OR_RETURN(issuer.number, NumberOf(crl.get()));
  ASSIGN_OR_RETURN(issuer.serials, SerialsOf(crl.get()));
  issuer.chain = std::move(chain);
  return issuer;
}

Result<RevocationList> Read(std::vector<PemBlock> blocks, const TrustAnchor& anchor) {
  RevocationList list;
  std::vector<Certificate> chain;  // of the CRL that is to come
  for (PemBlock& block : blocks) {
    if (block.name == PEM_STRING_X509) {
      chain.push_back({std::move(block.der)});
    } else if (block.name == PEM_STRING_X509_CRL) {
      ASSIGN_OR_RETURN(auto issuer, ReadCrl(block.der, std::exchange(chain, {}), anchor));
      list.issuers.push_back(std::move(issuer));
    } else {
      return Fail(Code::kMalformed, "a {} among revocation lists", block.name);
    }
  }
  if (!chain.empty()) return Fail(Code::kMalformed, "an issuer without its revocation list");
  return list;
}

}  // namespace

bool RevocationList::Has(ByteView issuer_public_key, const std::string& serial) const {
  return std::ranges::any_of(issuers, [&](const Issuer& issuer) {
    return std::ranges::equal(issuer.public_key, issuer_public_key) && issuer.serials.contains(serial);
  });
}

Result<Bytes> SignRevocations(const CertificateAuthority& issuer, uint64_t number, const std::set<std::string>& serials,
                              WallTime now, Millis lifetime) {
  const X509Handle signer = CertificateFromDer(issuer.certificate().der);
  const Crl crl(X509_CRL_new());
  TRIBUTARY_CHECK(signer && crl && X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2) == 1 &&
                  X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(signer.get())) == 1);
  RETURN_IF_ERROR(SetDates(crl.get(), now, lifetime));
  for (const std::string& serial : serials) {
    RETURN_IF_ERROR(AddRevoked(crl.get(), serial, X509_CRL_get0_lastUpdate(crl.get())));
  }
  AddExtensions(crl.get(), signer.get(), number);
  TRIBUTARY_CHECK(X509_CRL_sort(crl.get()) == 1 && X509_CRL_sign(crl.get(), Handle(issuer.key()), nullptr) > 0);
  return ToDer<i2d_X509_CRL>(crl.get());
}

std::string RevocationsToPem(std::span<const Bytes> chain, ByteView crl) {
  std::string pem;
  for (const Bytes& certificate : chain) pem += PemText(PEM_STRING_X509, certificate);
  return pem + PemText(PEM_STRING_X509_CRL, crl);
}

Result<RevocationList> ReadRevocations(std::string_view pem, const TrustAnchor& anchor) {
  if (pem.size() > limits::kRevocationBytes) {
    return Fail(Code::kTooLarge, "revocation lists of {} bytes; the limit is {}", pem.size(), limits::kRevocationBytes);
  }
  ASSIGN_OR_RETURN(std::vector<PemBlock> blocks, PemBlocks(pem));
  if (blocks.empty() && !pem.empty()) return Fail(Code::kMalformed, "not revocation lists in PEM");
  auto list = Read(std::move(blocks), anchor);
  ERR_clear_error();
  return list;
}

}  // namespace tributary

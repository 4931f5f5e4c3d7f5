#include "protocol/base/limits.h"
#include "protocol/trust/identity/certificate.h"
#include "protocol/trust/identity/revocation_list.h"
#include "protocol/trust/identity/trust_anchor.h"
#include "tests/fuzz/fixed_fleet.h"
#include "tests/fuzz/fuzz_target.h"

// The bytes are read as a chain (DER, length before each certificate), as PEM text of certificates and of revocation
// lists, and as a request for a certificate.
namespace tributary {
namespace {

std::vector<Bytes> ChainFrom(ByteView rest) {
  std::vector<Bytes> chain;
  while (!rest.empty() && chain.size() < 2 * limits::kCertificateChain) {
    const auto length = TakeU32(rest);
    if (!length) break;
    chain.push_back(ToBytes(rest.first(std::min<size_t>(*length, rest.size()))));
    rest = rest.subspan(chain.back().size());
  }
  return chain;
}

void TryChain(const std::vector<Bytes>& chain) {
  const auto member = FixedAnchor().Verify(chain, kFixedTime);
  TRIBUTARY_CHECK(!member || (!member->subject.id.empty() && member->public_key.size() == 32 &&
                              member->issuer_public_key.size() == 32 && !member->serial.empty()))
      << "a member without a name, key or issuer";
  const auto again = FixedAnchor().Verify(chain, kFixedTime);  // from memory, when it verified
  TRIBUTARY_CHECK(member.has_value() == again.has_value()) << "another verdict the second time";
  TRIBUTARY_CHECK(!member || FixedAnchor().Standing(*member, kFixedTime).has_value()) << "verified but not standing";
  std::vector<Certificate> certificates;
  for (const Bytes& der : chain) {
    (void)TrustAnchor::FromCertificate(Certificate{der});
    (void)ReadSubject({der});
    (void)CommonName({der});
    certificates.push_back({der});
  }
  const auto issuer = FixedAnchor().IssuerKey(certificates);
  TRIBUTARY_CHECK(!issuer || issuer->size() == 32);
}

void TryRequest(ByteView bytes) {
  const auto request = ReadCertificateRequest(bytes);
  TRIBUTARY_CHECK(!request || (request->public_key.size() == 32 && request->curve_public_key.size() == 32))
      << "a request without keys";
}

void TryPem(std::string_view text) {
  (void)CertificateFromPem(text);
  (void)CertificatesFromPem(text);
  const auto list = ReadRevocations(text, FixedAnchor());
  if (!list) return;
  for (const auto& issuer : list->issuers) {
    TRIBUTARY_CHECK(issuer.public_key.size() == 32);
    for (const std::string& serial : issuer.serials) TRIBUTARY_CHECK(list->Has(issuer.public_key, serial));
  }
}

}  // namespace
}  // namespace tributary

TRIBUTARY_FUZZ_TARGET(certificate) {
  using namespace tributary;
  const ByteView bytes(data, size);
  TryChain(ChainFrom(bytes));
  TryRequest(bytes);
  TryPem(AsText(bytes));
  return 0;
}

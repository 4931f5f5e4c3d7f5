#include "protocol/seal/certificate.h"
#include "tests/fuzz/fixed_fleet.h"
#include "tests/fuzz/fuzz_target.h"

// A chain as DER, length before each certificate, and the same bytes as PEM text.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  ByteView rest(data, size);
  std::vector<Bytes> chain;
  while (!rest.empty() && chain.size() < 8) {
    const auto length = TakeU32(rest);
    if (!length) break;
    chain.push_back(ToBytes(rest.first(std::min<size_t>(*length, rest.size()))));
    rest = rest.subspan(chain.back().size());
  }
  const auto member = FixedAnchor().Verify(chain, kFixedTime);
  TRIBUTARY_CHECK(!member || (!member->subject.id.empty() && member->public_key.size() == 32))
      << "a member without a name or key";
  for (const Bytes& der : chain) (void)TrustAnchor::FromCertificate(Certificate{der});
  (void)CertificateFromPem(AsText({data, size}));
  (void)CertificatesFromPem(AsText({data, size}));
  return 0;
}

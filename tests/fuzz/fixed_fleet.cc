#include "tests/fuzz/fixed_fleet.h"

#include "protocol/base/limits.h"
#include "tests/support/must.h"

namespace tributary {

const TrustAnchor& FixedAnchor() {
  static const TrustAnchor anchor = [] {
    const Bytes pem = Must(ReadFile(RealFileSystem(), Path(TRIBUTARY_SEEDS_DIR) / "ca.pem", limits::kConfigBytes));
    return Must(TrustAnchor::FromCertificate(Must(CertificateFromPem(AsText(pem)))));
  }();
  return anchor;
}

}  // namespace tributary

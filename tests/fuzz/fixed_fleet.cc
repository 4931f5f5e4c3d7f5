#include "tests/fuzz/fixed_fleet.h"

#include "protocol/base/file.h"
#include "protocol/base/limits.h"
#include "tests/support/must.h"

namespace tributary {

const TrustAnchor& FixedAnchor() {
  static const TrustAnchor anchor = [] {
    const Path seeds(TRIBUTARY_SEEDS_DIR);
    const Bytes pem = Must(ReadFile(RealFileSystem(), seeds / "ca.pem", limits::kConfigBytes));
    const Bytes root = Must(ReadFile(RealFileSystem(), seeds / "root.json", limits::kRootBytes));
    return Must(TrustAnchor::FromCertificate(Must(CertificateFromPem(AsText(pem))), root));
  }();
  return anchor;
}

}  // namespace tributary

#include "protocol/trust/identity/certificate_dates.h"

#include "protocol/trust/identity/x509_parts.h"

namespace tributary {

Result<WallTime> EndOf(const Certificate& certificate) {
  ASSIGN_OR_RETURN(const X509Handle parsed, ParseCertificate(certificate.der));
  return WallTime{UnixSeconds(X509_get0_notAfter(parsed.get())) * 1000};
}

}  // namespace tributary

#pragma once

#include "protocol/trust/identity/enrolment_request.h"
#include "protocol/trust/identity/certificate_request.h"

namespace tributary {

// A request for a certificate whose form is right and whose applicant holds the key it names. Nothing is known yet of
// its right to a certificate.
struct OpenedEnrolment {
  EnrolmentRequest request;
  CertificateRequest wanted;
};

// The opening half of protocol/enrol. kUnknownKey: it is sealed to another key; kSealBroken; kMalformed, kTooLarge,
// kBadSignature.
Result<OpenedEnrolment> OpenEnrolment(const SealedEnrolment& sealed, const HpkeKeyPair& key);

}  // namespace tributary

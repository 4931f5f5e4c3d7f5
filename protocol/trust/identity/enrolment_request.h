#pragma once

#include <variant>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/trust/identity/identity.h"
#include "protocol/trust/seal/hpke.h"

namespace tributary {

// schema/enrolment.capnp as plain values; the prose is there. Sealing is here, opening at the aggregator
// (aggregator/enrol/decisions.h).
struct Renewal {
  std::vector<Bytes> chain;
  Bytes signature;
};
struct EnrolmentRequest {
  Bytes certificate_request;  // DER
  WallTime created;
  std::variant<SecretBytes, Renewal> authority;  // token, or renewal
};

// The bytes that travel (SealedEnrolment). kInvalidArgument: not a public key.
Result<Bytes> SealEnrolment(const EnrolmentRequest& request, const SealingTarget& target);
// A renewal of `identity`. `next_curve_key`: the public key of the certificate that is asked for; empty: as it has.
Result<Bytes> SealRenewal(const Identity& identity, const SealingTarget& target, WallTime now,
                          ByteView next_curve_key = {});
// The bytes that a renewal's signature covers.
Bytes RenewalTranscript(ByteView certificate_request);
ByteView EnrolmentInfo();  // HPKE's info

// For the opening half. kMalformed, kTooLarge (over limits::kEnrolmentBytes).
struct SealedEnrolment {
  HpkeAead aead = kDefaultAead;
  KeyId key_id;
  Bytes sealed;
};
Result<SealedEnrolment> DecodeSealedEnrolment(ByteView bytes);
Result<EnrolmentRequest> DecodeEnrolment(ByteView plaintext);

}  // namespace tributary

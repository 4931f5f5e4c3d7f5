#include "aggregator/enrol/decisions.h"
#include "protocol/trust/identity/invitation.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/support/test_fleet.h"

// The bytes are read as a sealed request for a certificate, which is opened with the key that the seeds are sealed to;
// as what is in one; and as an invitation.
namespace tributary {
namespace {

const HpkeKeyPair& Key() {
  static const TestFleet fleet;  // its sealing key is the same in every run
  return fleet.sealing_key();
}

void TrySealed(ByteView bytes) {
  const auto sealed = DecodeSealedEnrolment(bytes);
  if (!sealed) return;
  const auto opened = OpenEnrolment(*sealed, Key());
  TRIBUTARY_CHECK(!opened || (opened->wanted.public_key.size() == 32 && opened->wanted.curve_public_key.size() == 32))
      << "an applicant without keys";
}

void TryRequest(ByteView bytes) {
  const auto request = DecodeEnrolment(bytes);
  if (!request) return;
  const auto sealed = SealEnrolment(*request, {kDefaultAead, Key().public_key});
  if (!sealed) return;  // the seal adds more than the limit leaves
  const auto decoded = DecodeSealedEnrolment(*sealed);
  TRIBUTARY_CHECK(decoded.has_value()) << decoded.error().ToString();
  const bool good = ReadCertificateRequest(request->certificate_request).has_value();
  TRIBUTARY_CHECK(OpenEnrolment(*decoded, Key()).has_value() == good) << "another request came out";
}

void TryInvitation(ByteView bytes) {
  const auto invitation = DecodeInvitation(bytes);
  if (!invitation) return;
  const auto again = DecodeInvitation(EncodeInvitation(*invitation));
  if (!again) {
    TRIBUTARY_CHECK(again.error().code == Code::kTooLarge) << again.error().ToString();
    return;
  }
  TRIBUTARY_CHECK(again->fleet == invitation->fleet && again->role == invitation->role &&
                  again->ca_pem == invitation->ca_pem && again->root == invitation->root &&
                  again->target.public_key == invitation->target.public_key)
      << "another invitation";
}

}  // namespace
}  // namespace tributary

TRIBUTARY_FUZZ_TARGET(enrolment) {
  const tributary::ByteView bytes(data, size);
  tributary::TrySealed(bytes);
  tributary::TryRequest(bytes);
  tributary::TryInvitation(bytes);
  return 0;
}

#include "aggregator/enrol/open_enrolment.h"

#include "protocol/trust/seal/opener.h"

namespace tributary {

Result<OpenedEnrolment> OpenEnrolment(const SealedEnrolment& sealed, const HpkeKeyPair& key) {
  constexpr size_t kEncapsulatedKeyBytes = 32;
  if (HpkeKeyId(key.public_key) != sealed.key_id) {
    return Fail(Code::kUnknownKey, "the request is sealed to the key " + sealed.key_id.hex());
  }
  ByteView rest = sealed.sealed;
  ASSIGN_OR_RETURN(const ByteView encapsulated_key, TakeBytes(rest, kEncapsulatedKeyBytes));
  ASSIGN_OR_RETURN(HpkeOpener opener, HpkeOpener::FromSender(sealed.aead, key, encapsulated_key, EnrolmentInfo()));
  ASSIGN_OR_RETURN(Bytes opened, opener.Open({}, rest));
  const SecretBytes plaintext(std::move(opened));
  OpenedEnrolment enrolment;
  ASSIGN_OR_RETURN(enrolment.request, DecodeEnrolment(plaintext.RevealForUse()));
  ASSIGN_OR_RETURN(enrolment.wanted, ReadCertificateRequest(enrolment.request.certificate_request));
  return enrolment;
}

}  // namespace tributary

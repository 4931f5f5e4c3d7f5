#include "protocol/trust/identity/enrolment_request.h"

#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/schema/canonical.h"
#include "protocol/schema/enrolment.capnp.h"

namespace tributary {
namespace {

// "tri_" and 64 hexadecimal digits; room for other forms.
constexpr size_t kTokenBytes = 256;
constexpr std::string_view kInfo = "tributary enrolment v1";
constexpr std::string_view kRenewal = "tributary renewal v1\n";

void Write(const Renewal& from, schema::Renewal::Builder to) {
  auto chain = to.initChain(static_cast<unsigned>(from.chain.size()));
  for (unsigned i = 0; i < from.chain.size(); ++i) chain.set(i, wire::ToData(from.chain[i]));
  to.setSignature(wire::ToData(from.signature));
}

void Write(const EnrolmentRequest& from, schema::EnrolmentRequest::Builder to) {
  to.setRequest(wire::ToData(from.certificate_request));
  to.setCreatedUnixMillis(from.created.unix_millis);
  if (const auto* token = std::get_if<SecretBytes>(&from.authority)) {
    const std::string_view text = AsText(token->RevealForUse());
    // A Text::Reader would have to end with a zero, which the secret does not.
    std::ranges::copy(text, to.getAuthority().initToken(static_cast<unsigned>(text.size())).begin());
  } else {
    Write(std::get<Renewal>(from.authority), to.getAuthority().initRenewal());
  }
}

Result<Renewal> Read(schema::Renewal::Reader from) {
  Renewal to;
  const auto chain = from.getChain();
  if (chain.size() == 0 || chain.size() > limits::kCertificateChain) {
    return Fail(Code::kMalformed, "a renewal's chain has {} certificates", chain.size());
  }
  for (const auto certificate : chain) {
    if (certificate.size() > limits::kCertificateBytes) {
      return Fail(Code::kTooLarge, "a certificate of {} bytes", certificate.size());
    }
    to.chain.push_back(ToBytes(wire::View(certificate)));
  }
  to.signature = ToBytes(wire::View(from.getSignature()));
  if (to.signature.size() != kSignatureBytes) {
    return Fail(Code::kMalformed, "a renewal's signature has {} bytes", to.signature.size());
  }
  return to;
}

Result<SecretBytes> ReadToken(capnp::Text::Reader from) {
  if (from.size() == 0 || from.size() > kTokenBytes) {
    return Fail(Code::kMalformed, "an enrolment token of {} bytes", from.size());
  }
  return SecretBytes::CopyOf(AsBytes(wire::View(from)));
}

Result<EnrolmentRequest> Read(schema::EnrolmentRequest::Reader from) {
  EnrolmentRequest to;
  if (from.getRequest().size() > limits::kCertificateBytes) {
    return Fail(Code::kTooLarge, "a certificate request of {} bytes", from.getRequest().size());
  }
  to.certificate_request = ToBytes(wire::View(from.getRequest()));
  to.created = {from.getCreatedUnixMillis()};
  const auto authority = from.getAuthority();
  switch (authority.which()) {
    case schema::EnrolmentRequest::Authority::TOKEN: {
      ASSIGN_OR_RETURN(to.authority, ReadToken(authority.getToken()));
      return to;
    }
    case schema::EnrolmentRequest::Authority::RENEWAL: {
      ASSIGN_OR_RETURN(to.authority, Read(authority.getRenewal()));
      return to;
    }
  }
  return Fail(Code::kMalformed, "an enrolment request with an authority that this version does not know");
}

Result<SealedEnrolment> Read(schema::SealedEnrolment::Reader from) {
  SealedEnrolment to;
  to.aead = static_cast<HpkeAead>(from.getAead());
  if (to.aead < HpkeAead::kAes128Gcm || to.aead > HpkeAead::kChaCha20Poly1305) {
    return Fail(Code::kMalformed, "AEAD {} is not known", from.getAead());
  }
  ASSIGN_OR_RETURN(to.key_id, KeyId::FromBytes(wire::View(from.getKeyId())));
  to.sealed = ToBytes(wire::View(from.getSealed()));
  if (to.sealed.size() < kX25519Bytes + limits::kSealTagBytes) {
    return Fail(Code::kMalformed, "a sealed enrolment of {} bytes", to.sealed.size());
  }
  return to;
}

Bytes Encode(const SealedEnrolment& from) {
  return wire::EncodeCanonical<schema::SealedEnrolment>([&](schema::SealedEnrolment::Builder to) {
    to.setAead(static_cast<uint16_t>(from.aead));
    to.setKeyId(wire::ToData(from.key_id.view()));
    to.setSealed(wire::ToData(from.sealed));
  });
}

Status CheckSize(ByteView bytes) {
  if (bytes.size() <= limits::kEnrolmentBytes) return {};
  return Fail(Code::kTooLarge, "an enrolment request of {} bytes; the limit is {}", bytes.size(),
              limits::kEnrolmentBytes);
}

}  // namespace

ByteView EnrolmentInfo() { return AsBytes(kInfo); }

Bytes RenewalTranscript(ByteView certificate_request) {
  Bytes transcript = ToBytes(AsBytes(kRenewal));
  Append(transcript, certificate_request);
  return transcript;
}

Result<Bytes> SealEnrolment(const EnrolmentRequest& request, const SealingTarget& target) {
  const SecretBytes plaintext(wire::EncodeCanonical<schema::EnrolmentRequest>(
      [&](schema::EnrolmentRequest::Builder to) { Write(request, to); }));
  ASSIGN_OR_RETURN(HpkeSealer sealer, HpkeSealer::ToRecipient(target.aead, target.public_key, EnrolmentInfo()));
  SealedEnrolment sealed{target.aead, HpkeKeyId(target.public_key), ToBytes(sealer.encapsulated_key())};
  Append(sealed.sealed, sealer.Seal({}, plaintext.RevealForUse()));
  Bytes bytes = Encode(sealed);
  RETURN_IF_ERROR(CheckSize(bytes));
  return bytes;
}

Result<Bytes> SealRenewal(const Identity& identity, const SealingTarget& target, WallTime now,
                          ByteView next_curve_key) {
  EnrolmentRequest request;
  const ByteView curve_key = next_curve_key.empty() ? ByteView(identity.subject.curve_public_key) : next_curve_key;
  ASSIGN_OR_RETURN(request.certificate_request, MakeCertificateRequest(identity.key, identity.subject.id, curve_key));
  request.created = now;
  request.authority = Renewal{identity.chain, identity.key.Sign(RenewalTranscript(request.certificate_request))};
  return SealEnrolment(request, target);
}

Result<SealedEnrolment> DecodeSealedEnrolment(ByteView bytes) {
  RETURN_IF_ERROR(CheckSize(bytes));
  ASSIGN_OR_RETURN(SealedEnrolment sealed,
                   wire::DecodeCanonical<schema::SealedEnrolment>(
                       bytes, "sealed enrolment", [](schema::SealedEnrolment::Reader from) { return Read(from); }));
  // One request has one form, so that nobody on the way can make two of it.
  if (!std::ranges::equal(Encode(sealed), bytes)) {
    return Fail(Code::kMalformed, "the sealed enrolment has fields this version does not know");
  }
  return sealed;
}

Result<EnrolmentRequest> DecodeEnrolment(ByteView plaintext) {
  RETURN_IF_ERROR(CheckSize(plaintext));
  return wire::DecodeCanonical<schema::EnrolmentRequest>(
      plaintext, "enrolment request", [](schema::EnrolmentRequest::Reader from) { return Read(from); });
}

}  // namespace tributary

#include "protocol/publication/publication.h"

#include "protocol/base/limits.h"
#include "protocol/publication/publication_form.h"
#include "protocol/schema/canonical.h"
#include "protocol/schema/publication.capnp.h"
#include "protocol/seal/digest.h"

namespace tributary {
namespace {

// A signature made for a publication serves no other purpose.
constexpr std::string_view kSigningDomain = "tributary publication v1\n";

Bytes SignedMessage(ByteView body) {
  Bytes message = ToBytes(AsBytes(kSigningDomain));
  Append(message, body);
  return message;
}

struct SignedParts {
  Bytes body;
  Bytes signature;
  std::vector<Bytes> chain;
};

Result<SignedParts> Read(schema::SignedPublication::Reader from) {
  const auto chain = from.getChain();
  if (chain.size() > limits::kCertificateChain) {
    return Fail(Code::kTooLarge, "chain of " + std::to_string(chain.size()) + " certificates is over the limit");
  }
  if (chain.size() == 0) return Fail(Code::kMalformed, "no certificate came with the publication");
  SignedParts to{ToBytes(wire::View(from.getBody())), ToBytes(wire::View(from.getSignature())), {}};
  if (to.signature.size() != kSignatureBytes) {
    return Fail(Code::kMalformed, "signature has " + std::to_string(to.signature.size()) + " bytes instead of 64");
  }
  for (const capnp::Data::Reader certificate : chain) to.chain.push_back(ToBytes(wire::View(certificate)));
  return to;
}

Result<SignedParts> DecodeSigned(ByteView bytes) {
  if (bytes.size() > limits::kPublicationBytes) {
    return Fail(Code::kTooLarge, "publication of " + std::to_string(bytes.size()) + " bytes is over the limit");
  }
  return wire::DecodeCanonical<schema::SignedPublication>(
      bytes, "signed publication", [](schema::SignedPublication::Reader from) { return Read(from); });
}

Status VerifyParts(const SignedParts& parts, const TrustAnchor& anchor, WallTime when) {
  ASSIGN_OR_RETURN(const VerifiedIdentity signer, anchor.Verify(parts.chain, when));
  if (signer.subject.role != Role::kPublisher) {
    return Fail(Code::kWrongRole,
                "a certificate of role " + std::string(RoleName(signer.subject.role)) + " may not publish");
  }
  return VerifySignature(signer.public_key, SignedMessage(parts.body), parts.signature);
}

}  // namespace

Bytes SignPublication(const Publication& publication, const SigningKey& key, std::span<const Bytes> chain) {
  const Bytes body = EncodePublication(publication);
  const Bytes signature = key.Sign(SignedMessage(body));
  return wire::EncodeCanonical<schema::SignedPublication>([&](schema::SignedPublication::Builder to) {
    to.setBody(wire::ToData(body));
    to.setSignature(wire::ToData(signature));
    auto certificates = to.initChain(static_cast<unsigned>(chain.size()));
    for (unsigned i = 0; i < chain.size(); ++i) certificates.set(i, wire::ToData(chain[i]));
  });
}

Result<Publication> OpenPublication(ByteView signed_bytes, const TrustAnchor& anchor, WallTime now) {
  ASSIGN_OR_RETURN(const SignedParts parts, DecodeSigned(signed_bytes));
  RETURN_IF_ERROR(VerifyParts(parts, anchor, now));
  ASSIGN_OR_RETURN(Publication publication, DecodePublication(parts.body));
  if (publication.expires <= now) {
    return Fail(Code::kExpired, "publication " + std::to_string(publication.number) + " expired at " +
                                    std::to_string(publication.expires.unix_millis) + " ms, now is " +
                                    std::to_string(now.unix_millis) + " ms");
  }
  return publication;
}

Result<Publication> OpenKeptPublication(ByteView signed_bytes, const TrustAnchor& anchor, WallTime now) {
  ASSIGN_OR_RETURN(const SignedParts parts, DecodeSigned(signed_bytes));
  ASSIGN_OR_RETURN(Publication publication, DecodePublication(parts.body));
  Status verified = VerifyParts(parts, anchor, now);
  if (!verified && verified.error().code == Code::kExpiredCertificate) {
    verified = VerifyParts(parts, anchor, publication.created);
  }
  RETURN_IF_ERROR(verified);
  return publication;
}

bool IsSelected(const RoundAnnouncement& round, const DeviceId& device) {
  Bytes message = ToBytes(round.nonce);
  Append(message, AsBytes(device.text()));
  const Digest digest = Sha256(message);
  ByteView front = digest.view();
  const uint64_t first8 = TakeU64(front).value();
  // 53 bits are what a double holds exactly; with all 64 the largest would round up to 1 and never be in.
  return static_cast<double>(first8 >> 11) * 0x1.0p-53 < round.inclusion;
}

}  // namespace tributary

#include "protocol/envelope/envelope.h"

#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/envelope/header_wire.h"
#include "protocol/schema/canonical.h"
#include "protocol/schema/envelope.capnp.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

// A signature made for an envelope serves no other purpose.
constexpr std::string_view kSigningDomain = "tributary envelope v1\n";

Bytes SignedMessage(ByteView header_bytes) {
  Bytes message = ToBytes(AsBytes(kSigningDomain));
  Append(message, header_bytes);
  return message;
}

Bytes EncodeSigned(ByteView header_bytes, ByteView signature, std::span<const Bytes> chain) {
  return wire::EncodeCanonical<schema::SignedEnvelope>([&](schema::SignedEnvelope::Builder to) {
    to.setHeader(wire::ToData(header_bytes));
    to.setSignature(wire::ToData(signature));
    auto certificates = to.initChain(static_cast<unsigned>(chain.size()));
    for (unsigned i = 0; i < chain.size(); ++i) certificates.set(i, wire::ToData(chain[i]));
  });
}

Result<SignedEnvelope> Read(schema::SignedEnvelope::Reader from) {
  SignedEnvelope to;
  const ByteView header = wire::View(from.getHeader());
  const ByteView signature = wire::View(from.getSignature());
  const auto chain = from.getChain();
  if (chain.size() > limits::kCertificateChain) {
    return Fail(Code::kTooLarge, "chain of " + std::to_string(chain.size()) + " certificates is over the limit");
  }
  if (chain.size() == 0) return Fail(Code::kMalformed, "no certificate came with the envelope");
  if (signature.size() != kSignatureBytes) {
    return Fail(Code::kMalformed, "signature has " + std::to_string(signature.size()) + " bytes instead of 64");
  }
  ASSIGN_OR_RETURN(to.header, DecodeHeader(header));
  to.header_bytes = ToBytes(header);
  to.signature = ToBytes(signature);
  for (const capnp::Data::Reader certificate : chain) {
    if (certificate.size() > limits::kCertificateBytes) {
      return Fail(Code::kTooLarge, "certificate of " + std::to_string(certificate.size()) + " bytes is over the limit");
    }
    to.chain.push_back(ToBytes(wire::View(certificate)));
  }
  return to;
}

Status CheckRole(const VerifiedIdentity& signer, const UploadSubject& subject) {
  const Role role = signer.subject.role;
  const bool may = role == Role::kDevice || (role == Role::kEvaluator && subject.kind != UploadKind::kUpdate);
  if (may) return {};
  return Fail(Code::kWrongRole, "a certificate of role " + std::string(RoleName(role)) +
                                    " may not send an upload of kind " + std::string(KindName(subject.kind)));
}

Status CheckTimes(const UploadSubject& subject, WallTime now) {
  const WallTime horizon = now + Millis(limits::kFarFutureMillis);
  if (subject.created > horizon || subject.expires > horizon) {
    return Fail(Code::kMalformed, "upload " + subject.id.hex() + " has times more than ten years ahead");
  }
  if (subject.expires.unix_millis != 0 && subject.expires <= now) {
    return Fail(Code::kExpired, "upload " + subject.id.hex() + " expired at " +
                                    std::to_string(subject.expires.unix_millis) + " ms, now is " +
                                    std::to_string(now.unix_millis) + " ms");
  }
  return {};
}

}  // namespace

std::string_view KindName(UploadKind kind) {
  switch (kind) {
    case UploadKind::kUpdate:
      return "update";
    case UploadKind::kEvaluation:
      return "evaluation";
    case UploadKind::kDeviceState:
      return "device_state";
    case UploadKind::kSample:
      return "sample";
  }
  return "unknown";
}

uint32_t UploadHeader::ciphertext_chunk_size(uint32_t index) const {
  TRIBUTARY_CHECK(index < subject.chunk_count) << index << " of " << subject.chunk_count;
  const uint64_t begin = uint64_t{index} * subject.chunk_size;
  const uint64_t plaintext = std::min<uint64_t>(subject.chunk_size, subject.plaintext_size - begin);
  return static_cast<uint32_t>(plaintext + limits::kSealTagBytes);
}

uint64_t UploadHeader::ciphertext_chunk_offset(uint32_t index) const {
  return uint64_t{index} * (uint64_t{subject.chunk_size} + limits::kSealTagBytes);
}

Bytes SignEnvelope(const UploadHeader& header, const SigningKey& key, std::span<const Bytes> chain) {
  const Bytes header_bytes = EncodeHeader(header);
  return EncodeSigned(header_bytes, key.Sign(SignedMessage(header_bytes)), chain);
}

Result<SignedEnvelope> ParseEnvelope(ByteView bytes) {
  if (bytes.size() > limits::kEnvelopeBytes) {
    return Fail(Code::kTooLarge, "envelope of " + std::to_string(bytes.size()) + " bytes is over the limit");
  }
  ASSIGN_OR_RETURN(SignedEnvelope envelope,
                   wire::DecodeCanonical<schema::SignedEnvelope>(
                       bytes, "envelope", [](schema::SignedEnvelope::Reader from) { return Read(from); }));
  // What is not covered by the signature must not vary either: one upload has one envelope.
  if (!std::ranges::equal(EncodeSigned(envelope.header_bytes, envelope.signature, envelope.chain), bytes)) {
    return Fail(Code::kMalformed, "envelope has fields this version does not know");
  }
  envelope.bytes = ToBytes(bytes);
  return envelope;
}

Result<VerifiedIdentity> VerifyEnvelope(const SignedEnvelope& envelope, const TrustAnchor& anchor, WallTime now) {
  const UploadSubject& subject = envelope.header.subject;
  ASSIGN_OR_RETURN(VerifiedIdentity signer, anchor.Verify(envelope.chain, now));
  RETURN_IF_ERROR(VerifySignature(signer.public_key, SignedMessage(envelope.header_bytes), envelope.signature));
  RETURN_IF_ERROR(CheckRole(signer, subject));
  if (subject.device != signer.subject.id) {
    return Fail(Code::kWrongIdentity, "upload " + subject.id.hex() + " names device " + subject.device.text() +
                                          ", its certificate is of " + signer.subject.id.text());
  }
  RETURN_IF_ERROR(CheckTimes(subject, now));
  return signer;
}

Bytes ChunkAssociatedData(const Digest& subject_digest, uint32_t index, uint32_t count) {
  Bytes data = ToBytes(subject_digest.view());
  AppendU32(data, index);
  AppendU32(data, count);
  return data;
}

Digest SubjectDigest(const UploadSubject& subject) { return Sha256(EncodeSubject(subject)); }

ByteView SealingInfo() { return AsBytes(std::string_view("tributary upload v1")); }

}  // namespace tributary

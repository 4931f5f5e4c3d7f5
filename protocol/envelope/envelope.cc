#include "protocol/envelope/envelope.h"

#include <algorithm>

#include "protocol/base/limits.h"
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

void Write(const UploadSubject& from, schema::Subject::Builder to) {
  to.setUploadId(wire::ToData(from.id.view()));
  to.setKind(static_cast<uint8_t>(from.kind));
  to.setTask(wire::ToText(from.task.text()));
  to.setBaseVersion(Number(from.base_version));
  to.setDevice(wire::ToText(from.device.text()));
  to.setCreatedUnixMillis(from.created.unix_millis);
  to.setExpiresUnixMillis(from.expires.unix_millis);
  to.setPriority(static_cast<uint8_t>(from.priority));
  to.setCodec(static_cast<uint16_t>(from.codec));
  to.setAead(static_cast<uint16_t>(from.aead));
  to.setKeyId(wire::ToData(from.key_id.view()));
  to.setPlaintextSize(from.plaintext_size);
  to.setChunkSize(from.chunk_size);
  to.setChunkCount(from.chunk_count);
  to.setAsk(from.ask);
}

void Write(const UploadHeader& from, schema::Header::Builder to) {
  Write(from.subject, to.initSubject());
  to.setEnc(wire::ToData(from.encapsulated_key));
  to.setCiphertextSize(from.ciphertext_size);
  to.setCiphertextDigest(wire::ToData(from.ciphertext_digest.view()));
}

Result<UploadSubject> Read(schema::Subject::Reader from) {
  UploadSubject to;
  ASSIGN_OR_RETURN(to.id, UploadId::FromBytes(wire::View(from.getUploadId())));
  to.kind = static_cast<UploadKind>(from.getKind());
  ASSIGN_OR_RETURN(to.task, TaskId::Parse(wire::View(from.getTask())));
  to.base_version = ModelVersion{from.getBaseVersion()};
  ASSIGN_OR_RETURN(to.device, DeviceId::Parse(wire::View(from.getDevice())));
  to.created = {from.getCreatedUnixMillis()};
  to.expires = {from.getExpiresUnixMillis()};
  to.priority = static_cast<Priority>(from.getPriority());
  to.codec = static_cast<Codec>(from.getCodec());
  to.aead = static_cast<HpkeAead>(from.getAead());
  ASSIGN_OR_RETURN(to.key_id, KeyId::FromBytes(wire::View(from.getKeyId())));
  to.plaintext_size = from.getPlaintextSize();
  to.chunk_size = from.getChunkSize();
  to.chunk_count = from.getChunkCount();
  to.ask = from.getAsk();
  return to;
}

Result<UploadHeader> Read(schema::Header::Reader from) {
  UploadHeader to;
  ASSIGN_OR_RETURN(to.subject, Read(from.getSubject()));
  const ByteView key = wire::View(from.getEnc());
  if (key.size() != kX25519Bytes)
    return Fail(Code::kMalformed, "encapsulated key has {} bytes instead of 32", key.size());
  to.encapsulated_key = ToBytes(key);
  to.ciphertext_size = from.getCiphertextSize();
  ASSIGN_OR_RETURN(to.ciphertext_digest, Digest::FromBytes(wire::View(from.getCiphertextDigest())));
  return to;
}

Status CheckKind(const UploadSubject& subject) {
  if (std::ranges::find(kUploadKinds, subject.kind) == std::end(kUploadKinds))
    return Fail(Code::kUnknownKind, "kind {} is not known", static_cast<unsigned>(subject.kind));
  if (!CarriesUpdates(subject.codec) && subject.codec != Codec::kRecord)
    return Fail(Code::kUnknownCodec, "codec {} is not known", static_cast<unsigned>(subject.codec));
  if ((subject.kind == UploadKind::kUpdate) == (subject.codec == Codec::kRecord))
    return Fail(Code::kMalformed, "codec {} does not fit the upload's kind", static_cast<unsigned>(subject.codec));
  if (subject.priority > Priority::kSample)
    return Fail(Code::kMalformed, "priority {} is not known", static_cast<unsigned>(subject.priority));
  if (subject.aead < HpkeAead::kAes128Gcm || subject.aead > HpkeAead::kChaCha20Poly1305)
    return Fail(Code::kMalformed, "AEAD {} is not known", static_cast<unsigned>(subject.aead));
  return {};
}

Status CheckSizes(const UploadSubject& subject) {
  const bool record = subject.kind == UploadKind::kEvaluation || subject.kind == UploadKind::kDeviceState;
  if (subject.plaintext_size > (record ? limits::kRecordBytes : limits::kPayloadBytes))
    return Fail(Code::kTooLarge, "payload of {} bytes is over the limit for its kind", subject.plaintext_size);
  if (subject.chunk_size > limits::kMaxChunkBytes)
    return Fail(Code::kTooLarge, "chunk size {} is over the limit", subject.chunk_size);
  if (subject.chunk_size < limits::kMinChunkBytes)
    return Fail(Code::kMalformed, "chunk size {} is below the least allowed", subject.chunk_size);
  if (subject.chunk_count != ChunksFor(subject.plaintext_size, subject.chunk_size))
    return Fail(Code::kMalformed, "chunk count {} contradicts payload and chunk size", subject.chunk_count);
  return {};
}

Bytes EncodeHeader(const UploadHeader& header) {
  return wire::EncodeCanonical<schema::Header>([&](schema::Header::Builder to) { Write(header, to); });
}

// There is one form: the chunks are bound to the bytes of the fields known here.
Result<UploadHeader> DecodeHeader(ByteView bytes) {
  const auto read = [](schema::Header::Reader from) { return Read(from); };
  ASSIGN_OR_RETURN(UploadHeader header,
                   wire::DecodeCanonical<schema::Header>(bytes, "header", read, limits::kHeaderBytes));
  RETURN_IF_ERROR(CheckSubject(header.subject));
  const uint64_t tags = uint64_t{header.subject.chunk_count} * limits::kSealTagBytes;
  if (header.ciphertext_size != header.subject.plaintext_size + tags)
    return Fail(Code::kMalformed, "ciphertext size {} contradicts the payload's", header.ciphertext_size);
  if (!std::ranges::equal(EncodeHeader(header), bytes))
    return Fail(Code::kMalformed, "header has fields this version does not know");
  return header;
}

Result<SignedEnvelope> Read(schema::SignedEnvelope::Reader from) {
  SignedEnvelope to;
  const ByteView header = wire::View(from.getHeader());
  const ByteView signature = wire::View(from.getSignature());
  const auto chain = from.getChain();
  if (chain.size() > limits::kCertificateChain)
    return Fail(Code::kTooLarge, "chain of {} certificates is over the limit", chain.size());
  if (chain.size() == 0) return Fail(Code::kMalformed, "no certificate came with the envelope");
  if (signature.size() != kSignatureBytes)
    return Fail(Code::kMalformed, "signature has {} bytes instead of 64", signature.size());
  ASSIGN_OR_RETURN(to.header, DecodeHeader(header));
  to.header_bytes = ToBytes(header);
  to.signature = ToBytes(signature);
  for (const capnp::Data::Reader certificate : chain) {
    if (certificate.size() > limits::kCertificateBytes)
      return Fail(Code::kTooLarge, "certificate of {} bytes is over the limit", certificate.size());
    to.chain.push_back(ToBytes(wire::View(certificate)));
  }
  return to;
}

Status CheckRole(const VerifiedIdentity& signer, const UploadSubject& subject) {
  const Role role = signer.subject.role;
  const bool may = role == Role::kDevice || (role == Role::kEvaluator && subject.kind != UploadKind::kUpdate);
  if (may) return {};
  return Fail(Code::kWrongRole, "a certificate of role {} may not send an upload of kind {}", RoleName(role),
              KindName(subject.kind));
}

Status CheckTimes(const UploadSubject& subject, WallTime now) {
  const WallTime horizon = now + Millis(limits::kFarFutureMillis);
  if (subject.created > horizon || subject.expires > horizon)
    return Fail(Code::kMalformed, "upload {} has times more than ten years ahead", subject.id.hex());
  if (subject.expires.unix_millis != 0 && subject.expires <= now) {
    return Fail(Code::kExpired, "upload {} expired at {} ms, now is {} ms", subject.id.hex(),
                subject.expires.unix_millis, now.unix_millis);
  }
  return {};
}

}  // namespace

std::string_view KindName(UploadKind kind) {
  constexpr std::string_view kNames[] = {"unknown", "update", "evaluation", "device_state", "sample"};
  const auto number = static_cast<size_t>(kind);
  return kNames[number < std::size(kNames) ? number : 0];
}

uint32_t UploadHeader::ciphertext_chunk_size(uint32_t index) const {
  TRIBUTARY_CHECK(index < subject.chunk_count) << index << " of " << subject.chunk_count;
  const uint64_t begin = uint64_t{index} * subject.chunk_size;
  const uint64_t plaintext = std::min<uint64_t>(subject.chunk_size, subject.plaintext_size - begin);
  return static_cast<uint32_t>(plaintext + limits::kSealTagBytes);
}

Bytes SignEnvelope(const UploadHeader& header, const SigningKey& key, std::span<const Bytes> chain) {
  const Bytes header_bytes = EncodeHeader(header);
  return EncodeSigned(header_bytes, key.Sign(SignedMessage(header_bytes)), chain);
}

Result<SignedEnvelope> ParseEnvelope(ByteView bytes) {
  const auto read = [](schema::SignedEnvelope::Reader from) { return Read(from); };
  ASSIGN_OR_RETURN(SignedEnvelope envelope,
                   wire::DecodeCanonical<schema::SignedEnvelope>(bytes, "envelope", read, limits::kEnvelopeBytes));
  // What is not covered by the signature must not vary either: one upload has one envelope.
  if (!std::ranges::equal(EncodeSigned(envelope.header_bytes, envelope.signature, envelope.chain), bytes))
    return Fail(Code::kMalformed, "envelope has fields this version does not know");
  envelope.bytes = ToBytes(bytes);
  return envelope;
}

Result<VerifiedIdentity> VerifyEnvelope(const SignedEnvelope& envelope, const TrustAnchor& anchor, WallTime now) {
  const UploadSubject& subject = envelope.header.subject;
  ASSIGN_OR_RETURN(VerifiedIdentity signer, anchor.Verify(envelope.chain, now));
  RETURN_IF_ERROR(VerifySignature(signer.public_key, SignedMessage(envelope.header_bytes), envelope.signature));
  RETURN_IF_ERROR(CheckRole(signer, subject));
  if (subject.device != signer.subject.id) {
    return Fail(Code::kWrongIdentity, "upload {} names device {}, its certificate is of {}", subject.id.hex(),
                subject.device.text(), signer.subject.id.text());
  }
  RETURN_IF_ERROR(CheckTimes(subject, now));
  if (Number(subject.base_version) > limits::kCounter)
    return Fail(Code::kMalformed, "there is no version {}", Number(subject.base_version));
  return signer;
}

Bytes ChunkAssociatedData(const Digest& subject_digest, uint32_t index, uint32_t count) {
  Bytes data = ToBytes(subject_digest.view());
  AppendU32(data, index);
  AppendU32(data, count);
  return data;
}

Digest SubjectDigest(const UploadSubject& subject) {
  return Sha256(wire::EncodeCanonical<schema::Subject>([&](schema::Subject::Builder to) { Write(subject, to); }));
}

ByteView SealingInfo() { return AsBytes(std::string_view("tributary upload v1")); }

uint64_t ChunksFor(uint64_t plaintext_size, uint32_t chunk_size) {
  return plaintext_size == 0 ? 1 : (plaintext_size - 1) / chunk_size + 1;
}

Status CheckSubject(const UploadSubject& subject) {
  RETURN_IF_ERROR(CheckKind(subject));
  if (subject.created.unix_millis < 0 || subject.expires.unix_millis < 0)
    return Fail(Code::kMalformed, "the upload's times lie before 1970");
  return CheckSizes(subject);
}

}  // namespace tributary

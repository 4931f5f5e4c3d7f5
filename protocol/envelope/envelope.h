#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/trust/identity/trust_anchor.h"
#include "protocol/trust/seal/hpke.h"
#include "protocol/trust/seal/signing.h"

namespace tributary {

enum class UploadKind : uint8_t { kUpdate = 1, kEvaluation = 2, kDeviceState = 3, kSample = 4 };
constexpr bool IsOneOf(UploadKind kind) { return kind >= UploadKind::kUpdate && kind <= UploadKind::kSample; }
inline constexpr UploadKind kUploadKinds[] = {UploadKind::kUpdate, UploadKind::kEvaluation, UploadKind::kDeviceState,
                                              UploadKind::kSample};
std::string_view KindName(UploadKind kind);  // "update", "evaluation", "device_state", "sample"

// Smaller goes first.
enum class Priority : uint8_t { kControl = 0, kUpdate = 1, kEvaluation = 2, kDeviceState = 3, kSample = 4 };
constexpr bool IsOneOf(Priority priority) { return priority <= Priority::kSample; }

// How a payload is encoded. An update's codecs are described in protocol/payload/codec.
enum class Codec : uint16_t {
  kFloat32Dense = 1,
  kRecord = 2,  // a Cap'n Proto message: everything but an update
  kFloat16 = 3,
  kBfloat16 = 4,
  kBlock8 = 5,
  kBlock4 = 6,
  kEden1 = 7,
  kEden2 = 8,
  kEden4 = 9,
  kTop1 = 10,
  kTop5 = 11,
  kLinear = 256,  // + bits
};
// The linear codec of so many bits.
inline constexpr int kLeastLinearBits = 4, kMostLinearBits = 24;
constexpr Codec LinearCodec(int bits) { return static_cast<Codec>(static_cast<int>(Codec::kLinear) + bits); }
constexpr int LinearBits(Codec codec) { return static_cast<int>(codec) - static_cast<int>(Codec::kLinear); }
constexpr bool IsLinear(Codec codec) {
  return LinearBits(codec) >= kLeastLinearBits && LinearBits(codec) <= kMostLinearBits;
}
constexpr bool CarriesUpdates(Codec codec) {
  return codec == Codec::kFloat32Dense || (codec >= Codec::kFloat16 && codec <= Codec::kTop5) || IsLinear(codec);
}

// What is known of an upload before its payload is sealed (schema/envelope.capnp, Subject). Value type.
struct UploadSubject {
  UploadId id{};
  UploadKind kind = UploadKind::kUpdate;
  TaskId task{};
  ModelVersion base_version{};
  DeviceId device{};
  WallTime created{};
  WallTime expires{};  // 0: not by wall clock
  Priority priority = Priority::kUpdate;
  Codec codec = Codec::kFloat32Dense;
  HpkeAead aead = kDefaultAead;
  KeyId key_id{};
  uint64_t plaintext_size = 0;
  uint32_t chunk_size = 0;
  uint32_t chunk_count = 0;
  uint32_t ask = 0;  // which time of asking it answers
  bool operator==(const UploadSubject&) const = default;
};

struct UploadHeader {
  UploadSubject subject;
  Bytes encapsulated_key;  // 32 bytes
  uint64_t ciphertext_size = 0;
  Digest ciphertext_digest;
  bool operator==(const UploadHeader&) const = default;

  // The ciphertext bytes of chunk `index`, 16 more than its plaintext.
  uint32_t ciphertext_chunk_size(uint32_t index) const;
};

// An envelope that has the right form, as it came: `bytes` are what travels on.
struct SignedEnvelope {
  UploadHeader header;
  Bytes header_bytes;
  Bytes signature;
  std::vector<Bytes> chain;
  Bytes bytes;
};

// Signs and encodes.
Bytes SignEnvelope(const UploadHeader& header, const SigningKey& key, std::span<const Bytes> chain);

// Decodes and checks form and limits; believes nothing yet. Errors: kMalformed (also: not canonical, sizes that
// contradict each other), kTooLarge, kUnknownKind, kUnknownCodec.
Result<SignedEnvelope> ParseEnvelope(ByteView bytes);

// Chain, role (device or evaluator; an evaluator may not send updates), device id and signature, at `now`. Errors:
// those of TrustAnchor::Verify, kBadSignature, kWrongRole, kWrongIdentity, kExpired.
Result<VerifiedIdentity> VerifyEnvelope(const SignedEnvelope& envelope, const TrustAnchor& anchor, WallTime now);

// Binds a chunk to its header, its place and the number of chunks (schema/envelope.capnp, Subject).
Bytes ChunkAssociatedData(const Digest& subject_digest, uint32_t index, uint32_t count);
Digest SubjectDigest(const UploadSubject& subject);
// HPKE's info: "tributary upload v1".
ByteView SealingInfo();

// How many chunks of at most `chunk_size` (not 0) hold `plaintext_size` bytes; at least 1.
uint64_t ChunksFor(uint64_t plaintext_size, uint32_t chunk_size);

// Refuses what ParseEnvelope refuses, before anything is sealed. kTooLarge, kMalformed, kUnknownKind, kUnknownCodec.
Status CheckSubject(const UploadSubject& subject);

}  // namespace tributary

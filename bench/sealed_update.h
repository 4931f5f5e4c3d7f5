#pragma once

#include <cstdint>
#include <vector>

#include "protocol/base/limits.h"
#include "protocol/base/random.h"
#include "protocol/payload/update_codec.h"
#include "protocol/envelope/seal_upload.h"
#include "protocol/trust/seal/signing.h"

namespace tributary::bench {

// The sizes that are measured: the demo's CNN, and two round numbers.
inline constexpr uint64_t kParameterCounts[] = {215'370, 1'000'000, 10'000'000};

// Values in -1..1 whose bits do not repeat. The same for the same seed.
inline std::vector<float> SomeUpdate(uint64_t parameters, uint64_t seed = 1) {
  std::vector<float> values(parameters);
  for (float& value : values) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    value = static_cast<float>(static_cast<int32_t>(seed >> 32)) * 0x1p-31F;
  }
  return values;
}

// An upload of `plaintext` as a device makes it, but for the certificate, which nobody here looks at.
inline Result<SealedUpload> SealForBench(ByteView plaintext, uint64_t number, const Bytes& recipient,
                                         ModelVersion base = ModelVersion{1}, Codec codec = Codec::kFloat32Dense) {
  static const SigningKey key = SigningKey::Generate();
  static const std::vector<Bytes> chain{Bytes(600)};
  UploadSubject subject;
  SystemRandom().Fill(subject.id.mutable_view());
  ASSIGN_OR_RETURN(subject.task, TaskId::Parse("bench"));
  ASSIGN_OR_RETURN(subject.device, DeviceId::Parse("device-" + std::to_string(number)));
  subject.base_version = base;
  subject.codec = codec;
  return SealUpload(subject, plaintext, limits::kDefaultChunkBytes, {kDefaultAead, recipient}, key, chain);
}

inline Result<SealedUpload> SealUpdateForBench(uint64_t parameters, uint64_t number, const Bytes& recipient,
                                               ModelVersion base = ModelVersion{1}) {
  const UpdateMeta meta{.weight = 600, .parameter_count = parameters};
  ASSIGN_OR_RETURN(const Bytes plaintext, EncodeUpdate(Codec::kFloat32Dense, meta, SomeUpdate(parameters, number)));
  return SealForBench(plaintext, number, recipient, base);
}

}  // namespace tributary::bench

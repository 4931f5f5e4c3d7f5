#pragma once

#include <vector>

#include "protocol/envelope/envelope.h"

namespace tributary {

struct SealedUpload {
  UploadHeader header;
  Bytes envelope;             // signed
  std::vector<Bytes> chunks;  // ciphertext
};

// Seals `plaintext` in chunks of `chunk_size` plaintext bytes and signs the header. `subject` comes with id, kind,
// task, base version, device, times, priority and codec; the rest is filled in. Errors: kTooLarge (payload or chunk
// size out of limits), kInvalidArgument (the target's key).
Result<SealedUpload> SealUpload(UploadSubject subject, ByteView plaintext, uint32_t chunk_size,
                                const SealingTarget& target, const SigningKey& key, std::span<const Bytes> chain);

}  // namespace tributary

#pragma once

#include <string>

#include "protocol/base/limits.h"
#include "protocol/envelope/seal_upload.h"
#include "tests/support/outcome.h"
#include "tests/support/seeded_random.h"
#include "tests/support/test_fleet.h"

// An upload small enough to try every bit of, for the tests of this folder.
namespace tributary {

inline constexpr uint32_t kSmallChunk = limits::kMinChunkBytes;

inline UploadSubject SmallSubject(std::string_view device = "device-1", UploadKind kind = UploadKind::kUpdate) {
  UploadSubject subject;
  subject.id = SeededRandom(7).TakeUploadId();
  subject.kind = kind;
  subject.codec = kind == UploadKind::kUpdate ? Codec::kFloat32Dense : Codec::kRecord;
  subject.task = TestTask("digits");
  subject.base_version = ModelVersion{3};
  subject.device = TestDevice(device);
  subject.created = kTestStart;
  return subject;
}

// A header as sealing would complete it, with made-up key, digest and sizes of one chunk.
inline UploadHeader SmallHeader(UploadSubject subject = SmallSubject()) {
  subject.plaintext_size = 1000;
  subject.chunk_size = kSmallChunk;
  subject.chunk_count = 1;
  UploadHeader header;
  header.subject = std::move(subject);
  header.encapsulated_key = SeededRandom(8).TakeBytes(32);
  header.ciphertext_size = 1016;
  SeededRandom(9).Fill(header.ciphertext_digest.mutable_view());
  return header;
}

inline Bytes Signed(const UploadHeader& header, const Identity& by) { return SignEnvelope(header, by.key, by.chain); }

}  // namespace tributary

#include "protocol/envelope/seal_upload.h"

#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/trust/seal/digest.h"
#include "protocol/trust/seal/hpke.h"

namespace tributary {
namespace {

// Completes what the payload and the target decide. A subject that no receiver would take is our caller's mistake.
Status Complete(UploadSubject& subject, uint64_t plaintext_size, uint32_t chunk_size, const SealingTarget& target) {
  if (chunk_size < limits::kMinChunkBytes)
    return Fail(Code::kInvalidArgument, "chunk size {} is below the least allowed", chunk_size);
  subject.aead = target.aead;
  subject.key_id = HpkeKeyId(target.public_key);
  subject.plaintext_size = plaintext_size;
  subject.chunk_size = chunk_size;
  subject.chunk_count = static_cast<uint32_t>(ChunksFor(plaintext_size, chunk_size));
  Status status = CheckSubject(subject);
  if (!status && status.error().code != Code::kTooLarge) status.error().code = Code::kInvalidArgument;
  return status;
}

}  // namespace

Result<SealedUpload> SealUpload(UploadSubject subject, ByteView plaintext, uint32_t chunk_size,
                                const SealingTarget& target, const SigningKey& key, std::span<const Bytes> chain) {
  RETURN_IF_ERROR(Complete(subject, plaintext.size(), chunk_size, target));
  ASSIGN_OR_RETURN(HpkeSealer sealer, HpkeSealer::ToRecipient(target.aead, target.public_key, SealingInfo()));
  const Digest subject_digest = SubjectDigest(subject);

  SealedUpload upload;
  upload.chunks.reserve(subject.chunk_count);
  Sha256Stream digest;
  for (uint32_t index = 0; index < subject.chunk_count; ++index) {
    const ByteView part = plaintext.first(std::min<size_t>(plaintext.size(), chunk_size));
    upload.chunks.push_back(sealer.Seal(ChunkAssociatedData(subject_digest, index, subject.chunk_count), part));
    plaintext = plaintext.subspan(part.size());
    digest.Update(upload.chunks.back());
    upload.header.ciphertext_size += upload.chunks.back().size();
  }
  upload.header.ciphertext_digest = std::move(digest).Finish();
  upload.header.encapsulated_key = ToBytes(sealer.encapsulated_key());
  upload.header.subject = std::move(subject);
  upload.envelope = SignEnvelope(upload.header, key, chain);
  return upload;
}

}  // namespace tributary

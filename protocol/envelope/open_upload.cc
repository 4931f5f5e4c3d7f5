#include "protocol/envelope/open_upload.h"

#include "protocol/base/limits.h"

namespace tributary {

UploadOpener::UploadOpener(HpkeOpener opener, const UploadHeader& header)
    : opener_(std::move(opener)), header_(header), subject_digest_(SubjectDigest(header.subject)) {}

Result<UploadOpener> UploadOpener::Begin(const UploadHeader& header, const HpkeKeyPair& key) {
  const KeyId held = HpkeKeyId(key.public_key);
  if (header.subject.key_id != held) {
    return Fail(Code::kUnknownKey, "upload {} is sealed to key {}, this is {}", header.subject.id.hex(),
                header.subject.key_id.hex(), held.hex());
  }
  ASSIGN_OR_RETURN(HpkeOpener opener,
                   HpkeOpener::FromSender(header.subject.aead, key, header.encapsulated_key, SealingInfo()));
  return UploadOpener(std::move(opener), header);
}

Result<size_t> UploadOpener::OpenChunk(ByteView ciphertext, MutableByteView out) {
  const UploadSubject& subject = header_.subject;
  if (next_ >= subject.chunk_count)
    return Fail(Code::kChunkOutOfOrder, "upload {} has no more than {} chunks", subject.id.hex(), subject.chunk_count);
  if (ciphertext.size() != header_.ciphertext_chunk_size(next_)) {
    return Fail(Code::kChunkOutOfOrder, "chunk {} of upload {} has {} bytes instead of {}", next_, subject.id.hex(),
                ciphertext.size(), header_.ciphertext_chunk_size(next_));
  }
  const size_t plaintext_size = ciphertext.size() - limits::kSealTagBytes;
  TRIBUTARY_CHECK(out.size() >= plaintext_size) << out.size() << " < " << plaintext_size;
  RETURN_IF_ERROR(opener_.OpenInto(ChunkAssociatedData(subject_digest_, next_, subject.chunk_count), ciphertext,
                                   out.first(plaintext_size)));
  ++next_;
  return plaintext_size;
}

}  // namespace tributary

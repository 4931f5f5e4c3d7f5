#include "protocol/envelope/open_upload.h"

#include "protocol/base/limits.h"

namespace tributary {

UploadOpener::UploadOpener(HpkeOpener opener, const UploadHeader& header)
    : opener_(std::move(opener)), header_(header), subject_digest_(SubjectDigest(header.subject)) {}

Result<UploadOpener> UploadOpener::Begin(const UploadHeader& header, const HpkeKeyPair& key) {
  const KeyId held = HpkeKeyId(key.public_key);
  if (header.subject.key_id != held) {
    return Fail(Code::kUnknownKey, "upload " + header.subject.id.hex() + " is sealed to key " +
                                       header.subject.key_id.hex() + ", this is " + held.hex());
  }
  ASSIGN_OR_RETURN(HpkeOpener opener,
                   HpkeOpener::FromSender(header.subject.aead, key, header.encapsulated_key, SealingInfo()));
  return UploadOpener(std::move(opener), header);
}

Result<size_t> UploadOpener::OpenChunk(ByteView ciphertext, MutableByteView out) {
  const UploadSubject& subject = header_.subject;
  if (next_ >= subject.chunk_count) {
    return Fail(Code::kChunkOutOfOrder,
                "upload " + subject.id.hex() + " has no more than " + std::to_string(subject.chunk_count) + " chunks");
  }
  if (ciphertext.size() != header_.ciphertext_chunk_size(next_)) {
    return Fail(Code::kChunkOutOfOrder, "chunk " + std::to_string(next_) + " of upload " + subject.id.hex() + " has " +
                                            std::to_string(ciphertext.size()) + " bytes instead of " +
                                            std::to_string(header_.ciphertext_chunk_size(next_)));
  }
  const size_t plaintext_size = ciphertext.size() - limits::kSealTagBytes;
  TRIBUTARY_CHECK(out.size() >= plaintext_size) << out.size() << " < " << plaintext_size;
  RETURN_IF_ERROR(opener_.OpenInto(ChunkAssociatedData(subject_digest_, next_, subject.chunk_count), ciphertext,
                                   out.first(plaintext_size)));
  ++next_;
  return plaintext_size;
}

}  // namespace tributary

#pragma once

#include "protocol/envelope/envelope.h"
#include "protocol/trust/seal/opener.h"

namespace tributary {

// Opens an upload's chunks one by one, in order, into the caller's buffer: memory is one chunk. Only an aggregator
// links it. Call order: Begin, then OpenChunk for 0, 1, 2 … Resource type, not thread safe. Does not check the
// ciphertext's digest or the signature: that was done when the upload was taken in.
class UploadOpener {
 public:
  // kUnknownKey: the header names another key than `key`. kMalformed: encapsulated key.
  static Result<UploadOpener> Begin(const UploadHeader& header, const HpkeKeyPair& key);

  // Returns the plaintext bytes written to the front of `out` (at least subject.chunk_size long). kSealBroken;
  // kChunkOutOfOrder: more chunks than the header says, or a chunk of another size.
  Result<size_t> OpenChunk(ByteView ciphertext, MutableByteView out);

 private:
  UploadOpener(HpkeOpener opener, const UploadHeader& header);
  HpkeOpener opener_;
  UploadHeader header_;
  Digest subject_digest_;
  uint32_t next_ = 0;
};

}  // namespace tributary

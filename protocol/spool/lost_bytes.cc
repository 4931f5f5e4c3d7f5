#include "protocol/spool/lost_bytes.h"

#include "protocol/trust/seal/digest.h"

namespace tributary {

Result<uint64_t> LostBytes(const SpooledUpload& upload, const std::function<Result<Bytes>(uint32_t chunk)>& read) {
  Sha256Stream digest;
  for (uint32_t chunk = 0; chunk < upload.chunk_count; ++chunk) {
    const auto bytes = read(chunk);
    if (!bytes) {
      const Code code = bytes.error().code;
      if (code != Code::kCorrupt && code != Code::kNotFound && code != Code::kUnknownUpload) {
        return Fail(bytes.error());
      }
      return upload.ciphertext_size - upload.ChunkOffset(chunk);
    }
    digest.Update(*bytes);
  }
  return std::move(digest).Finish() == upload.ciphertext_digest ? 0 : upload.ciphertext_size;
}

}  // namespace tributary

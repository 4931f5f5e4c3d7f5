#include "protocol/spool/payload_digest.h"

#include <latch>
#include <utility>

namespace tributary {

void DigestWorker::Update(std::shared_ptr<Sha256Stream> digest, ByteView bytes) {
  if (!worker_) worker_.emplace("spool-digest", 1);
  busy_ = true;
  worker_->Post([digest = std::move(digest), bytes] { digest->Update(bytes); });
}

void DigestWorker::Wait() {
  if (!std::exchange(busy_, false)) return;
  std::latch done(1);
  worker_->Post([&] { done.count_down(); });
  done.wait();
}

Result<uint64_t> LostBytes(const SpooledUpload& upload, const std::function<Result<Bytes>(uint32_t chunk)>& read) {
  Sha256Stream digest;
  for (uint32_t chunk = 0; chunk < upload.chunk_count; ++chunk) {
    const auto bytes = read(chunk);
    if (!bytes) {
      const Code code = bytes.error().code;
      if (code != Code::kCorrupt && code != Code::kNotFound && code != Code::kUnknownUpload) return Fail(bytes.error());
      return upload.ciphertext_size - upload.ChunkOffset(chunk);
    }
    digest.Update(*bytes);
  }
  return std::move(digest).Finish() == upload.ciphertext_digest ? 0 : upload.ciphertext_size;
}

}  // namespace tributary

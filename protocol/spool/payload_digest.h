#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "protocol/base/bytes.h"
#include "protocol/base/executor.h"
#include "protocol/spool/spooled_upload.h"
#include "protocol/trust/seal/digest.h"

// Comparing payloads with the digests that their headers announce.
namespace tributary {

// Computes digests on a thread of its own, while the caller writes the same chunks to the disk: on a fast disk the one
// takes as long as the other. For one calling thread. The worker's thread begins with the first Update.
class DigestWorker {
 public:
  // Adds `bytes` to `digest`, in the order of the calls. Nobody may touch either of them before Wait returns.
  void Update(std::shared_ptr<Sha256Stream> digest, ByteView bytes);
  // Returns when every Update is done.
  void Wait();

 private:
  std::optional<WorkerPool> worker_;
  bool busy_ = false;
};

// The number of bytes that a complete upload's payload has lost: 0 when its digest is right; those from the first chunk
// on that cannot be read; all of them when it has the right length and another digest. `read` returns a chunk, or
// kCorrupt, kNotFound or kUnknownUpload when there is none. Its other errors are returned.
Result<uint64_t> LostBytes(const SpooledUpload& upload, const std::function<Result<Bytes>(uint32_t chunk)>& read);

}  // namespace tributary

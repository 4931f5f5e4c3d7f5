#pragma once

#include <memory>
#include <optional>

#include "protocol/base/bytes.h"
#include "protocol/base/executor.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {

// Computes digests on a thread of its own, while the spool's writes the same chunks: on a fast disk the one takes as
// long as the other. For the one thread that writes; the worker's thread begins with the first Update.
class DigestWorker {
 public:
  // Goes on with `digest`, which nobody may use before Wait; `bytes` must stay as they are until then. In order.
  void Update(std::shared_ptr<Sha256Stream> digest, ByteView bytes);
  // Returns when every Update is done.
  void Wait();

 private:
  std::optional<WorkerPool> worker_;
  bool busy_ = false;
};

}  // namespace tributary

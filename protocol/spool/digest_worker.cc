#include "protocol/spool/digest_worker.h"

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

}  // namespace tributary

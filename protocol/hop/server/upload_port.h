#pragma once

#include <cstdint>

namespace tributary {

// The bytes of chunks that a process has asked for and not yet made durable, over all its connections: what bounds its
// memory. Value type.
class CreditPool {
 public:
  explicit CreditPool(uint64_t total) : total_(total) {}
  // A single chunk always fits an empty pool, however small the pool, so that nobody waits for ever.
  bool TryTake(uint64_t bytes) {
    if (used_ > 0 && used_ + bytes > total_) return false;
    used_ += bytes;
    return true;
  }
  void GiveBack(uint64_t bytes) { used_ -= bytes; }
  uint64_t used() const { return used_; }
  uint64_t total() const { return total_; }

 private:
  uint64_t total_;
  uint64_t used_ = 0;
};

}  // namespace tributary

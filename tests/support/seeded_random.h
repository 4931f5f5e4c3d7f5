#pragma once

#include <cstdint>

#include "protocol/base/ids.h"
#include "protocol/base/random.h"

namespace tributary {

// The same bytes for the same seed on every platform (SplitMix64, Steele, Lea and Flood 2014). Not thread safe.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}
  void Fill(MutableByteView out) override;

  uint64_t Next();
  // Uniform below `bound` (not 0), but for a bias that no test is long enough to see.
  uint64_t Below(uint64_t bound) { return Next() % bound; }
  Bytes TakeBytes(size_t count);
  UploadId TakeUploadId();

 private:
  uint64_t state_;
};

}  // namespace tributary

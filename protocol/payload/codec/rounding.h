#pragma once

#include <array>
#include <cstdint>

#include "protocol/base/random.h"
#include "protocol/trust/seal/key_stream.h"

namespace tributary {

// The private bits that an encoder rounds by: a value between two that can be written becomes either, and on average
// stays what it was. They come from the device's generator, which seeds a key stream; nobody else knows them.
class RoundingBits {
 public:
  explicit RoundingBits(Random& random);

  uint32_t Next() {
    if (at_ == words_.size()) Refill();
    return words_[at_++];
  }
  // Uniform in [0, 1), a multiple of 2^-32.
  double NextUnit() { return static_cast<double>(Next()) * 0x1p-32; }

 private:
  void Refill();
  KeyStream stream_;
  std::array<uint32_t, 1024> words_;
  size_t at_ = words_.size();
};

}  // namespace tributary

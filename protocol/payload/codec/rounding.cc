#include "protocol/payload/codec/rounding.h"

namespace tributary {
namespace {

KeyStream SeededBy(Random& random) {
  std::array<uint8_t, KeyStream::kSeedBytes> seed;
  random.Fill(seed);
  return KeyStream(seed);
}

}  // namespace

RoundingBits::RoundingBits(Random& random) : stream_(SeededBy(random)) {}

void RoundingBits::Refill() {
  stream_.Fill({reinterpret_cast<uint8_t*>(words_.data()), sizeof(words_)});
  at_ = 0;
}

}  // namespace tributary

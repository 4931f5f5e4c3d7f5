#include "protocol/payload/codec/rotation.h"

#include <array>
#include <bit>
#include <cmath>

#include "protocol/base/result.h"

namespace tributary {
namespace {

template <class Number>
void Transform(std::span<Number> values) {
  const size_t count = values.size();
  TRIBUTARY_CHECK(std::has_single_bit(count)) << count;
  Number* const at = values.data();
  for (size_t half = 1; half < count; half *= 2) {
    for (size_t first = 0; first < count; first += 2 * half) {
      for (size_t i = first; i < first + half; ++i) {
        const Number one = at[i], other = at[i + half];
        at[i] = one + other;
        at[i + half] = one - other;
      }
    }
  }
  const Number scale = 1 / std::sqrt(static_cast<Number>(count));
  for (Number& value : values) value *= scale;
}

template <class Number>
void Flip(std::span<Number> values, KeyStream& stream) {
  std::array<uint8_t, kRotationBlock / 8> bits;
  while (!values.empty()) {
    const auto part = values.first(std::min(values.size(), kRotationBlock));
    stream.Fill(std::span(bits).first((part.size() + 7) / 8));
    for (size_t i = 0; i < part.size(); ++i) {
      const auto minus = static_cast<Number>(bits[i / 8] >> (i % 8) & 1);
      part[i] *= 1 - 2 * minus;
    }
    values = values.subspan(part.size());
  }
}

}  // namespace

void Hadamard(std::span<float> values) { Transform(values); }
void Hadamard(std::span<double> values) { Transform(values); }
void FlipSigns(std::span<float> values, KeyStream& stream) { Flip(values, stream); }
void FlipSigns(std::span<double> values, KeyStream& stream) { Flip(values, stream); }

}  // namespace tributary

#pragma once

#include <cstddef>
#include <span>

#include "protocol/trust/seal/key_stream.h"

namespace tributary {

// Values of a block that is rotated whole. A shorter run is filled up with zeros to a power of two.
inline constexpr size_t kRotationBlock = 4096;

// The Walsh-Hadamard transform in natural order, divided by the root of the length, which is a power of two: it keeps
// the norm, and is its own inverse. Of (1, 2, 3, 4): (5, -1, -2, 0).
void Hadamard(std::span<float> values);
void Hadamard(std::span<double> values);

// Value i changes its sign where bit i mod 8 (the least first) of the stream's byte i / 8 is 1. Takes ceil(length / 8)
// bytes from the stream, so both ends must do it for the same blocks in the same order.
void FlipSigns(std::span<float> values, KeyStream& stream);
void FlipSigns(std::span<double> values, KeyStream& stream);

}  // namespace tributary

#pragma once

#include <memory>
#include <span>

#include "protocol/base/random.h"
#include "protocol/payload/codec/block_codec.h"

namespace tributary {

// EDEN (Vargaftik et al., ICML 2022): each block of 4096 values is rotated, twice by random signs and the Hadamard
// transform, so that its coordinates are nearly normal whatever the values are, and each coordinate becomes the nearest
// of the 2^bits levels that are best for a normal variable (Lloyd-Max). The block's scale makes the estimate unbiased
// over rotations. One transform is not enough for that: with a third of the squared norm in one value, 0.7 % of it was
// biased (rotation_codec_test.cc). 1.008 bits a value with one bit.
//   head  = 32 bytes, the seed of the signs (key_stream.h): each update has one of its own
//   block = scale level level …
//   scale = f32, |x|^2 / <q, z>: of the block's values x, its rotated coordinates z, and the levels q that stand for them
//   level = `bits` bits, the least bit of the first byte first: the index of |q| among EdenLevels, and above it, in the
//           highest bit, 1 when q is negative
// A block of fewer values is filled up with zeros to a power of two, all of whose coordinates travel. Bits behind the
// last level are 0. The signs of the first rotation come before those of the second in the stream. The decoder takes
// scale * q, transforms and changes the signs of the second, transforms and changes those of the first, and drops the
// zeros. `bits` is 1, 2 or 4. An encoder needs `random`; a decoder null.
std::unique_ptr<BlockCodec> MakeEden(int bits, Random* random);

// The positive levels, ascending: 2^(bits - 1) of them.
std::span<const float> EdenLevels(int bits);

// |x|^2 / <x, q>, by which q is an unbiased estimate of x when the rotation was random. 0 when x is.
double UnbiasedScale(std::span<const float> x, std::span<const float> q);

}  // namespace tributary

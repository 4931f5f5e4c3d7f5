#pragma once

#include <memory>

#include "protocol/payload/codec/block_codec.h"
#include "protocol/payload/codec/rounding.h"

namespace tributary {

// Blocks of 64 values with one scale each, and a whole number of 8 or 4 bits for each value, with stochastic rounding:
// unbiased. 8.25 and 4.25 bits for a value.
//   block = scale level level …
//   scale = u16, a bfloat16: the smallest with which the block's largest magnitude is at most 127 (or 7) of it
//   level = 8 bits: i8, -127 to 127; 4 bits: -7 to 7 in two's complement, the even value's in the lower half of a byte.
//           Behind an odd number of values the upper half is 0.
//   value = scale * level, rounded to float32
// For example, the values 127, -64 and 0 with 8 bits: 80 3f 7f c0 00; 7, -3 and 0 with 4 bits: 80 3f d7 00.
// `bits` is 8 or 4. An encoder needs `rounding`; a decoder null.
std::unique_ptr<BlockCodec> MakeScaledBlock(int bits, std::unique_ptr<RoundingBits> rounding);

}  // namespace tributary

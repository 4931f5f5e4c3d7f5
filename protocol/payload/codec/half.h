#pragma once

#include <memory>

#include "protocol/payload/codec/block_codec.h"
#include "protocol/payload/codec/rounding.h"

namespace tributary {

// 16 bits for each value, little endian, with stochastic rounding: unbiased. An encoder needs `bits`, a decoder null.
//   block = value value …      value = u16
// float16 (IEEE 754 binary16): of at most 65504; steps of 2^-24 below 2^-14. For example, 1 and -2.5: 00 3c 00 c1.
std::unique_ptr<BlockCodec> MakeFloat16(std::unique_ptr<RoundingBits> bits);
// bfloat16 (the upper half of a float32): the range of float32 with 8 bits of precision. 1 and -2.5: 80 3f 20 c0.
std::unique_ptr<BlockCodec> MakeBfloat16(std::unique_ptr<RoundingBits> bits);

// The number that a float16 or bfloat16 stands for.
float FromFloat16(uint16_t half);
float FromBfloat16(uint16_t half);

}  // namespace tributary

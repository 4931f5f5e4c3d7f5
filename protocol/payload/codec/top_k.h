#pragma once

#include <memory>

#include "protocol/payload/codec/block_codec.h"

namespace tributary {

// Of each block of 4096 values the k = ceil(percent * values / 100) of the largest magnitude (of equal ones the first),
// the others as 0. It is biased: who encodes keeps what was left out and adds it to the next update (KeepsResidual,
// device/agent/residual_store.h). 1.4 bits a value with 5 percent.
//   block    = position position … value value …     k of each
//   position = 12 bits, the least bit of the first byte first, ascending; behind an odd number of them 4 bits of 0
//   value    = a bfloat16, rounded to the nearest, ties to even
// For example, one percent of (0, -3, 1): 01 00 40 c0.
std::unique_ptr<BlockCodec> MakeTopK(int percent);

}  // namespace tributary

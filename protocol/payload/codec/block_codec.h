#pragma once

#include <memory>
#include <span>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

namespace tributary {

// How the values of an update travel, block by block: each block is encoded alone, and its bytes follow from how many
// values it has. The last block of a run of values may be shorter. The head comes first, then the blocks in order,
// since the codec may draw from a stream of random bits as it goes. Resource type, not thread safe.
class BlockCodec {
 public:
  virtual ~BlockCodec() = default;
  // The bytes before the first block of an update.
  virtual size_t head_bytes() const { return 0; }
  virtual void WriteHead(MutableByteView) {}
  virtual void ReadHead(ByteView) {}
  // The values of a block that is not the last; at most 4096.
  virtual size_t block() const = 0;
  // The bytes of a block of `count` values; `count` is at least 1 and at most block().
  virtual size_t BytesFor(size_t count) const = 0;
  // `values` are finite, `out` has BytesFor(values.size()) bytes, all 0. kNormExceeded: a value is too large for it.
  virtual Status Encode(std::span<const float> values, MutableByteView out) = 0;
  // `bytes` may be anything of BytesFor(values.size()) bytes. kMalformed: no encoder writes them; kNotFinite: a scale.
  // Values need not be finite.
  virtual Status Decode(ByteView bytes, std::span<float> values) = 0;
};

}  // namespace tributary

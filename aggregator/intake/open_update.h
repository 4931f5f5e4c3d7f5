#pragma once

#include <cstdint>
#include <functional>

#include "aggregator/sum/sum_kernel.h"
#include "aggregator/sum/weighted_sum.h"
#include "protocol/envelope/open_upload.h"
#include "protocol/payload/update_codec.h"

namespace tributary {

// A task's bounds for one update. The sum knows two more: the parameter count and the value bound.
struct UpdateBounds {
  double norm_bound = 0;
  uint64_t max_weight = 0;
};

// Opens updates chunk by chunk, and checks each chunk and adds it to the sum while it is in cache. An update that turns
// out to be bad is taken out again from the plaintext, which is kept in a buffer until the update is in the sum.
// Memory: 4 bytes per parameter and a chunk (twice that for a codec or a chunk size that does not leave the values in
// one piece). Resource type, not thread safe.
class UpdateReader {
 public:
  // `chunk(i)` gives ciphertext chunk i. On an error every bit of the sum is as it was. Errors: those of UploadOpener,
  // UpdateDecoder and WeightedSum::Addition, kBadWeight (0, over the bound, or the sum's total would pass its own),
  // kTooLarge (more bytes than the task's values take), and what `chunk` gives.
  Result<UpdateMeta> AddTo(WeightedSum& sum, const UploadHeader& header, const HpkeKeyPair& key,
                           const UpdateBounds& bounds, const std::function<Result<Bytes>(uint32_t index)>& chunk);

 private:
  CacheAligned<uint8_t> plaintext_;
  CacheAligned<float> moved_;  // only for values that are not in one piece in the plaintext
};

}  // namespace tributary

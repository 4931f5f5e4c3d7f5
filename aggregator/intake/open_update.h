#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "aggregator/aggregate/cache_aligned.h"
#include "protocol/codec/update_codec.h"
#include "protocol/envelope/open_upload.h"

namespace tributary {

// What a task asks of an update.
struct UpdateBounds {
  uint64_t parameter_count = 0;
  double value_bound = 0;
  double norm_bound = 0;
  uint64_t max_weight = 0;
};

struct OpenedUpdate {
  UpdateMeta meta;
  double norm = 0;
};

// Opens an update chunk by chunk into a buffer that is kept and used again, and checks each chunk while it is in cache.
// Memory: 4 bytes per parameter and a chunk (twice that for a codec or a chunk size that does not leave the values in
// one piece). Resource type, not thread safe.
class UpdateReader {
 public:
  // `chunk(i)` gives ciphertext chunk i. On success `values()` holds the update, until the next call; on an error
  // nothing. Errors: those of UploadOpener, UpdateDecoder and UpdateCheck, kWrongTensorCount, kBadWeight (0 or over the
  // bound), kTooLarge (more bytes than the task's values take), and what `chunk` gives.
  Result<OpenedUpdate> Read(const UploadHeader& header, const HpkeKeyPair& key, const UpdateBounds& bounds,
                            const std::function<Result<Bytes>(uint32_t index)>& chunk);
  std::span<const float> values() const { return values_; }

 private:
  CacheAligned<uint8_t> plaintext_;
  CacheAligned<float> moved_;  // only for values that are not in one piece in the plaintext
  std::span<const float> values_;
};

}  // namespace tributary

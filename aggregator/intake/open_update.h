#pragma once

#include <functional>
#include <vector>

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

// Opens an update chunk by chunk and checks it while it is in cache, into a buffer that is kept and used again. Memory:
// one chunk and 4 bytes per parameter. Resource type, not thread safe.
class UpdateReader {
 public:
  // `chunk(i)` gives ciphertext chunk i. On success `values()` holds the update. Errors: those of UploadOpener,
  // UpdateDecoder and UpdateCheck, kWrongTensorCount, kBadWeight (0 or over the bound), and what `chunk` gives.
  Result<OpenedUpdate> Read(const UploadHeader& header, const HpkeKeyPair& key, const UpdateBounds& bounds,
                            const std::function<Result<Bytes>(uint32_t index)>& chunk);
  std::span<const float> values() const { return values_; }

 private:
  std::vector<float> values_;
  Bytes plaintext_;  // one chunk
};

}  // namespace tributary

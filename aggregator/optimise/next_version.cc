#include "aggregator/optimise/next_version.h"

#include <cstring>

#include "aggregator/optimise/server_optimizer.h"

namespace tributary {

Result<std::vector<float>> ReadWeights(const BlobStore& blobs, const BlobRef& weights, uint64_t parameter_count) {
  ASSIGN_OR_RETURN(const Bytes bytes, blobs.ReadAll(weights.digest));
  std::vector<float> values(parameter_count);
  if (bytes.size() != parameter_count * sizeof(float)) {
    return Fail(Code::kCorrupt, "weights " + weights.digest.hex() + " have " + std::to_string(bytes.size()) +
                                    " bytes, " + std::to_string(parameter_count) + " values need " +
                                    std::to_string(parameter_count * sizeof(float)));
  }
  if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

Result<BlobRef> MakeNextWeights(BlobStore& blobs, const BlobRef& present, const WeightedSum& sum) {
  ASSIGN_OR_RETURN(const auto mean, sum.Report());
  ASSIGN_OR_RETURN(const auto weights, ReadWeights(blobs, present, sum.parameter_count()));
  ASSIGN_OR_RETURN(const auto next, FedAvgStep(weights, mean));
  const ByteView bytes = AsBytes(std::span<const float>(next));
  ASSIGN_OR_RETURN(const Digest digest, blobs.Put(bytes));
  return BlobRef{.digest = digest, .size = bytes.size()};
}

}  // namespace tributary

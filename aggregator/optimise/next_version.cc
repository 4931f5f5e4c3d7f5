#include "aggregator/optimise/next_version.h"

#include "aggregator/optimise/server_optimizer.h"

namespace tributary {

Result<std::vector<float>> ReadWeights(const BlobStore& blobs, const BlobRef& weights, uint64_t parameter_count) {
  ASSIGN_OR_RETURN(const Bytes bytes, blobs.ReadAll(weights.digest));
  auto values = ToFloats(bytes, parameter_count);
  if (!values) return Fail(Code::kCorrupt, "weights {}: {}", weights.digest.hex(), values.error().message);
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

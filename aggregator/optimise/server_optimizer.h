#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "aggregator/records/records.h"
#include "aggregator/sum/weighted_sum.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/blob_store.h"

namespace tributary {

// Makes the next version's weights from the present ones and a round's mean update. Another optimiser is one more of
// these and one line in OptimizerOf. The same input must give the same bits on every machine, since a step is repeated
// after a crash. Thread safe.
class ServerOptimizer {
 public:
  virtual ~ServerOptimizer() = default;
  // Of any of the values, each with its mean. kWrongTensorCount: sizes differ. A weight that overflows float32 becomes
  // infinite.
  virtual Result<std::vector<float>> Step(std::span<const float> present,
                                          std::span<const double> mean_update) const = 0;
};

// FedAvg (McMahan et al. 2017, Algorithm 1) in its delta form: next = present + mean. Computed in double and rounded
// once.
class FedAvg final : public ServerOptimizer {
 public:
  Result<std::vector<float>> Step(std::span<const float> present, std::span<const double> mean_update) const override;
};

// The optimiser that the task asks for; it lives as long as the process.
const ServerOptimizer& OptimizerOf(const TaskRecord& task);

// Hands over the float32 values of a weights blob piece by piece, in order. `visit` must do nothing final: that the
// bytes are those of the digest is known at the end. Its first error ends it. kDamagedBlob: they are not held, or are
// other bytes and were set aside; kCorrupt: they are not `parameter_count` values.
Status VisitWeights(const BlobStore& blobs, const BlobRef& weights, uint64_t parameter_count,
                    const std::function<Status(uint64_t first, std::span<const float> values)>& visit);
// All of them at once. The errors of VisitWeights.
Result<std::vector<float>> ReadWeights(const BlobStore& blobs, const BlobRef& weights, uint64_t parameter_count);

// A version in the blob store.
struct MadeVersion {
  BlobRef weights;
  std::optional<CompactWeights> compact = {};  // when the task's policy asks for it
};

// Makes the weights of `task` that follow `present`, those of its latest version, from a round's sum and puts them into
// the blob store, durable on return. It holds no more than a piece of them, or with a linear codec the weights once. A
// version_codec rounds them to what the compact weights say; a version that float16 cannot say is left as it is. A
// running variance that became negative becomes 0. It may be repeated after a crash. kConflict: an empty sum;
// kNotFinite names the weight that would overflow float32; the errors of VisitWeights.
Result<MadeVersion> MakeNextWeights(BlobStore& blobs, const BlobRef& present, const WeightedSum& sum,
                                    const TaskRecord& task);

}  // namespace tributary

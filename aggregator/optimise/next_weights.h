#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "aggregator/optimise/optimizers.h"
#include "aggregator/records/records.h"
#include "aggregator/sum/weighted_sum.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/blob_store.h"

namespace tributary {

// Hands over the float32 values of a weights blob piece by piece, in order. `visit` must do nothing final: that the
// bytes are those of the digest is known at the end. Its first error ends it. kDamagedBlob: they are not held, or are
// other bytes and were set aside; kCorrupt: they are not `parameter_count` values.
Status VisitWeights(const BlobStore& blobs, const BlobRef& weights, uint64_t parameter_count,
                    const std::function<Status(uint64_t first, std::span<const float> values)>& visit);
// All of them at once. The errors of VisitWeights.
Result<std::vector<float>> ReadWeights(const BlobStore& blobs, const BlobRef& weights, uint64_t parameter_count);

// How many bytes the blobs of the next version take beside the weights: the state of the task's optimiser.
uint64_t OptimizerStateBytes(const TaskRecord& task);

// A version in the blob store.
struct MadeVersion {
  BlobRef weights;
  std::optional<CompactWeights> compact = {};   // when the task's policy asks for it
  std::optional<BlobRef> optimizer_state = {};  // when the task's optimiser keeps something (optimizer_state.h)
  bool optimizer_began = false;                 // it keeps something, and found nothing to go on from
};

// A version that the next one is made from.
struct PresentVersion {
  BlobRef weights;
  std::optional<BlobRef> optimizer_state = {};
};

// Makes the weights of `task` that follow `present`, its latest version, from a round's sum and puts them into
// the blob store with the state of the task's optimiser, durable on return. The optimiser moves the shared tensors but for
// the running statistics, which are averaged. It holds no more than a piece of them, or with a linear codec the mean once. A
// version_codec rounds them to what the compact weights say; a version that float16 cannot say is left as it is. A
// running variance that became negative becomes 0. It may be repeated after a crash. kConflict: an empty sum;
// kNotFinite names the weight that would overflow float32; the errors of VisitWeights and OptimizerStateReader.
Result<MadeVersion> MakeNextWeights(BlobStore& blobs, const PresentVersion& present, const WeightedSum& sum,
                                    const TaskRecord& task);

}  // namespace tributary

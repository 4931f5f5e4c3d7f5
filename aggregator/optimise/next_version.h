#pragma once

#include "aggregator/sum/weighted_sum.h"
#include "aggregator/records/records.h"
#include "protocol/catalogue/blob_store.h"

namespace tributary {

// The float32 values of a weights blob. kUnknownBlob; kCorrupt: not `parameter_count` values.
Result<std::vector<float>> ReadWeights(const BlobStore& blobs, const BlobRef& weights, uint64_t parameter_count);

// Makes the weights that follow `present` from a round's sum (FedAvg) and puts them into the blob store, durable on
// return. The same sum and weights give the same bytes, so it may be repeated after a crash. kConflict: an empty sum;
// kNotFinite.
Result<BlobRef> MakeNextWeights(BlobStore& blobs, const BlobRef& present, const WeightedSum& sum);

}  // namespace tributary

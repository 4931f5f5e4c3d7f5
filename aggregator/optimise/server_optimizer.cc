#include "aggregator/optimise/server_optimizer.h"

#include <algorithm>
#include <cmath>

#include <Eigen/Core>

#include "aggregator/records/sum_form.h"
#include "aggregator/records/tensor_values.h"
#include "protocol/payload/version_codec.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {

Result<std::vector<float>> FedAvg::Step(std::span<const float> present, std::span<const double> mean_update) const {
  if (present.size() != mean_update.size()) {
    return Fail(Code::kWrongTensorCount, "weights: {} values, mean update: {}", present.size(), mean_update.size());
  }
  const auto count = static_cast<Eigen::Index>(present.size());
  const Eigen::Map<const Eigen::ArrayXf> weights(present.data(), count);
  const Eigen::Map<const Eigen::ArrayXd> update(mean_update.data(), count);
  std::vector<float> next(present.size());
  Eigen::Map<Eigen::ArrayXf> result(next.data(), count);
  result = (weights.cast<double>() + update).cast<float>();
  return next;
}

const ServerOptimizer& OptimizerOf(const TaskRecord&) {
  static const FedAvg fed_avg;  // it has no state
  return fed_avg;
}

Result<std::vector<float>> ReadWeights(const BlobStore& blobs, const BlobRef& weights, uint64_t parameter_count) {
  // One that a person is just putting back is not taken for damaged.
  if (const auto size = blobs.Size(weights.digest); size && *size < weights.size)
    return Fail(Code::kDamagedBlob, "the file of weights {} has {} of {} bytes", weights.digest.hex(), *size, weights.size);
  const auto bytes = blobs.ReadAll(weights.digest);
  if (!bytes && (bytes.error().code == Code::kUnknownBlob || bytes.error().code == Code::kDamagedBlob)) {
    return Fail(Code::kDamagedBlob,
                "{}. The round waits for these weights: put the file {} back into blobs/, from a backup or from "
                "relay/blobs/ of a gateway, or upload it (PUT /api/v1/blobs/...)",
                bytes.error().message, weights.digest.hex());
  }
  if (!bytes) return Fail(bytes.error());
  auto values = ToFloats(*bytes, parameter_count);
  if (!values) return Fail(Code::kCorrupt, "weights {}: {}", weights.digest.hex(), values.error().message);
  return values;
}

namespace {

// Rounds `next` to its compact weights, which are put into the store.
Result<std::optional<CompactWeights>> MakeCompact(BlobStore& blobs, const BlobRef& present,
                                                  std::span<const float> weights, const TaskRecord& task,
                                                  std::vector<float>& next) {
  const VersionCodec codec = task.policy.version_codec;
  if (codec == VersionCodec::kFloat32) return std::nullopt;
  const Digest seed =
      Sha256(AsBytes(fmt::format("tributary version codec v1/{}/{}", task.id.text(), Number(Next(task.latest)))));
  auto made = RoundVersion(codec, task.table, weights, next, seed);
  if (!made && made.error().code == Code::kNormExceeded) return std::nullopt;
  if (!made) return Fail(made.error());
  next = std::move(made->weights);
  CompactWeights compact{.codec = codec, .base = {}, .blob = {.digest = {}, .size = made->bytes.size()}};
  if (codec == VersionCodec::kBlock8) compact.base = present.digest;
  ASSIGN_OR_RETURN(compact.blob.digest, blobs.Put(made->bytes));
  return compact;
}

}  // namespace

Result<MadeVersion> MakeNextWeights(BlobStore& blobs, const BlobRef& present, const WeightedSum& sum,
                                    const TaskRecord& task) {
  ASSIGN_OR_RETURN(auto mean, sum.Report());
  // The sum is of updates on the latest version.
  if (const auto form = LinearFormOf(task)) mean = form->RotateBack(mean, LinearSeed(task.id, task.latest));
  ASSIGN_OR_RETURN(const auto weights, ReadWeights(blobs, present, task.table.parameter_count()));
  ASSIGN_OR_RETURN(auto next, OptimizerOf(task).Step(weights, mean));
  for (const TensorEntry& tensor : task.table.tensors) {
    if (StatisticOf(tensor) != Statistic::kVariance) continue;
    for (float& variance : std::span(next).subspan(tensor.offset, tensor.size)) variance = std::max(variance, 0.0F);
  }
  const auto bad = std::ranges::find_if(next, [](float weight) { return !std::isfinite(weight); });
  if (bad != next.end())
    return Fail(Code::kNotFinite, "{} would be {}", PlaceOf(task.table, static_cast<uint64_t>(bad - next.begin())),
                *bad);
  ASSIGN_OR_RETURN(auto compact, MakeCompact(blobs, present, weights, task, next));
  const ByteView bytes = AsBytes(std::span<const float>(next));
  ASSIGN_OR_RETURN(const Digest digest, blobs.Put(bytes));
  return MadeVersion{.weights = {.digest = digest, .size = bytes.size()}, .compact = std::move(compact)};
}

}  // namespace tributary

#include "aggregator/optimise/server_optimizer.h"

#include <algorithm>
#include <cmath>

#include <Eigen/Core>

#include "aggregator/records/sum_form.h"
#include "aggregator/records/tensor_values.h"
#include "protocol/base/limits.h"
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

namespace {

// So many values are in memory at once: 4 bytes of present and next weights and 8 of the mean for each.
constexpr uint64_t kValuesOfPiece = limits::kMiB / sizeof(float);

// No variance among these consecutive values, of which the first is value `first`, stays negative.
void ClampVariances(const TensorTable& table, uint64_t first, std::span<float> values) {
  for (const TensorEntry& tensor : table.tensors) {
    if (StatisticOf(tensor) != Statistic::kVariance) continue;
    const uint64_t end = std::min(first + values.size(), tensor.offset + tensor.size);
    for (uint64_t position = std::max(first, tensor.offset); position < end; ++position) {
      float& variance = values[position - first];
      variance = std::max(variance, 0.0F);
    }
  }
}

}  // namespace

Status VisitWeights(const BlobStore& blobs, const BlobRef& weights, uint64_t parameter_count,
                    const std::function<Status(uint64_t first, std::span<const float> values)>& visit) {
  const auto damaged = [&](const std::string& why) {
    return Fail(Code::kDamagedBlob,
                "{}. The round waits for these weights: put the file {} back into blobs/, from a backup or from "
                "relay/blobs/ of a gateway, or upload it (PUT /api/v1/blobs/...)",
                why, weights.digest.hex());
  };
  const auto size = blobs.Size(weights.digest);
  if (!size && size.error().code == Code::kUnknownBlob) return damaged(size.error().message);
  if (!size) return Fail(size.error());
  if (weights.size != parameter_count * sizeof(float)) {
    return Fail(Code::kCorrupt, "weights {}: {} bytes, {} values are expected", weights.digest.hex(), weights.size,
                parameter_count);
  }
  // One that a person is just putting back is not taken for damaged.
  if (*size < weights.size)
    return Fail(Code::kDamagedBlob, "the file of weights {} has {} of {} bytes", weights.digest.hex(), *size, weights.size);
  Sha256Stream digest;
  for (uint64_t first = 0; first < parameter_count; first += kValuesOfPiece) {
    const uint64_t count = std::min(kValuesOfPiece, parameter_count - first);
    ASSIGN_OR_RETURN(const Bytes bytes, blobs.Read(weights.digest, first * sizeof(float), count * sizeof(float)));
    digest.Update(bytes);
    ASSIGN_OR_RETURN(const auto values, ToFloats(bytes, count));
    RETURN_IF_ERROR(visit(first, values));
  }
  if (*size == weights.size && std::move(digest).Finish() == weights.digest) return {};
  const Status again = blobs.CheckAgain(weights.digest);  // sets it aside
  return damaged(again ? "the weights changed while they were read" : again.error().message);
}

Result<std::vector<float>> ReadWeights(const BlobStore& blobs, const BlobRef& weights, uint64_t parameter_count) {
  std::vector<float> all;
  const auto append = [&all](uint64_t, std::span<const float> values) -> Status {
    all.insert(all.end(), values.begin(), values.end());
    return {};
  };
  RETURN_IF_ERROR(VisitWeights(blobs, weights, parameter_count, append));
  return all;
}

namespace {

// The weights of a version that travels small, too: rounded to what its compact weights say, and those put into the store.
Result<MadeVersion> PutCompact(BlobStore& blobs, const BlobRef& present, const TaskRecord& task, std::vector<float> next) {
  ASSIGN_OR_RETURN(const auto weights, ReadWeights(blobs, present, task.table.parameter_count()));
  MadeVersion version;
  const VersionCodec codec = task.policy.version_codec;
  const Digest seed =
      Sha256(AsBytes(fmt::format("tributary version codec v1/{}/{}", task.id.text(), Number(Next(task.latest)))));
  auto made = RoundVersion(codec, task.table, weights, next, seed);
  // A value that float16 cannot say: the version travels as it is.
  if (!made && made.error().code != Code::kNormExceeded) return Fail(made.error());
  if (made) {
    next = std::move(made->weights);
    CompactWeights compact{.codec = codec, .base = {}, .blob = {.digest = {}, .size = made->bytes.size()}};
    if (codec == VersionCodec::kBlock8) compact.base = present.digest;
    ASSIGN_OR_RETURN(compact.blob.digest, blobs.Put(made->bytes));
    version.compact = std::move(compact);
  }
  const ByteView bytes = AsBytes(std::span<const float>(next));
  version.weights.size = bytes.size();
  ASSIGN_OR_RETURN(version.weights.digest, blobs.Put(bytes));
  return version;
}

}  // namespace

Result<MadeVersion> MakeNextWeights(BlobStore& blobs, const BlobRef& present, const WeightedSum& sum,
                                    const TaskRecord& task) {
  // The mean of a linear codec's vectors is turned back as a whole.
  std::vector<double> whole;
  if (const auto form = LinearFormOf(task)) {
    ASSIGN_OR_RETURN(whole, sum.Report());
    // The sum is of updates on the latest version.
    whole = form->RotateBack(whole, LinearSeed(task.id, task.latest));
  }
  const bool travels_small = task.policy.version_codec != VersionCodec::kFloat32;
  std::vector<float> kept;  // all of the next weights, when they travel small
  ASSIGN_OR_RETURN(BlobWriter writer, blobs.Write());
  std::vector<double> part;
  const auto step = [&](uint64_t first, std::span<const float> weights) -> Status {
    std::span<const double> mean;
    if (!whole.empty()) {
      mean = std::span(whole).subspan(first, weights.size());
    } else {
      part.resize(weights.size());
      RETURN_IF_ERROR(sum.ReportPart(first, part));
      mean = part;
    }
    ASSIGN_OR_RETURN(auto next, OptimizerOf(task).Step(weights, mean));
    ClampVariances(task.table, first, next);
    const auto bad = std::ranges::find_if(next, [](float weight) { return !std::isfinite(weight); });
    if (bad != next.end()) {
      const uint64_t position = first + static_cast<uint64_t>(bad - next.begin());
      return Fail(Code::kNotFinite, "{} would be {}", PlaceOf(task.table, position), *bad);
    }
    if (!travels_small) return writer.Append(AsBytes(std::span<const float>(next)));
    kept.insert(kept.end(), next.begin(), next.end());
    return {};
  };
  RETURN_IF_ERROR(VisitWeights(blobs, present, task.table.parameter_count(), step));
  if (travels_small) return PutCompact(blobs, present, task, std::move(kept));
  ASSIGN_OR_RETURN(const BlobRef made, writer.Finish());
  return MadeVersion{.weights = made, .compact = {}};
}

}  // namespace tributary

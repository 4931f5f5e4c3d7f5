#include "aggregator/optimise/server_optimizer.h"

#include <malloc.h>

#include <algorithm>
#include <cmath>

#include <Eigen/Core>

#include "aggregator/records/sum_form.h"
#include "aggregator/records/tensor_values.h"
#include "protocol/base/limits.h"
#include "protocol/catalogue/shared_tensors.h"
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

// So many values are in memory at once: 4 bytes of present and next weights and 8 of the mean for each, and as much again
// where a version is rounded to what travels.
constexpr uint64_t kValuesOfPiece = 256 * limits::kKiB / sizeof(float);

// No shared variance among these consecutive values, of which the first is value `first`, stays negative.
void ClampVariances(const SharedTensors& shared, uint64_t first, std::span<float> values) {
  for (size_t i = 0; i < shared.table().tensors.size(); ++i) {
    const TensorEntry& tensor = shared.table().tensors[i];
    if (StatisticOf(tensor) != Statistic::kVariance) continue;
    const uint64_t end = std::min(first + values.size(), shared.in_version(i) + tensor.size);
    for (uint64_t position = std::max(first, shared.in_version(i)); position < end; ++position) {
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
  const auto append = [&](uint64_t, std::span<const float> values) -> Status {
    all.reserve(parameter_count);  // as the file has them
    all.insert(all.end(), values.begin(), values.end());
    return {};
  };
  RETURN_IF_ERROR(VisitWeights(blobs, weights, parameter_count, append));
  return all;
}

namespace {

// The next weights, when updates were summed rotated: made in the memory of the present ones, since the mean comes in
// the rotation's order.
Result<std::vector<float>> StepRotatedBack(const BlobStore& blobs, const BlobRef& present, const WeightedSum& sum,
                                           const TaskRecord& task, const LinearForm& form, const SharedTensors& shared) {
  // The chunks of updates were freed in pieces that these weights do not fit into.
  malloc_trim(0);
  ASSIGN_OR_RETURN(auto weights, ReadWeights(blobs, present, task.table.parameter_count()));
  const auto read = [&](uint64_t first, std::span<double> values) { return sum.ReportPart(first, values); };
  std::vector<float> some;
  const auto take = [&](std::span<const uint64_t> positions, std::span<const double> mean) -> Status {
    some.clear();
    for (const uint64_t position : positions) some.push_back(weights[shared.InVersion(position)]);
    ASSIGN_OR_RETURN(const auto next, OptimizerOf(task).Step(some, mean));
    for (size_t i = 0; i < next.size(); ++i) weights[shared.InVersion(positions[i])] = next[i];
    return {};
  };
  // The sum is of updates on the latest version.
  RETURN_IF_ERROR(form.VisitRotatedBack(read, LinearSeed(task.id, task.latest), take));
  return weights;
}

Status CheckFinite(std::span<const float> weights, uint64_t first, const TensorTable& table) {
  const auto bad = std::ranges::find_if(weights, [](float weight) { return !std::isfinite(weight); });
  if (bad == weights.end()) return {};
  const uint64_t position = first + static_cast<uint64_t>(bad - weights.begin());
  return Fail(Code::kNotFinite, "{} would be {}", PlaceOf(table, position), *bad);
}

// Puts the next weights into the store as they come, and with `codec` those that travel small, to which they are
// rounded. `next_of` makes the next weights of the present ones from `first` on.
using NextOf = std::function<Result<std::vector<float>>(uint64_t first, std::span<const float> present)>;
Result<MadeVersion> PutNext(BlobStore& blobs, const BlobRef& present, const TaskRecord& task, VersionCodec codec,
                            const SharedTensors& shared, const NextOf& next_of) {
  ASSIGN_OR_RETURN(BlobWriter writer, blobs.Write());
  std::optional<BlobWriter> compact;
  std::optional<VersionRounder> rounder;
  if (codec != VersionCodec::kFloat32) {
    ASSIGN_OR_RETURN(BlobWriter beside, blobs.Write("compact"));
    compact.emplace(std::move(beside));
    rounder.emplace(
        codec, task.table,
        Sha256(AsBytes(fmt::format("tributary version codec v1/{}/{}", task.id.text(), Number(Next(task.latest))))));
  }
  const auto put = [&](uint64_t first, std::span<const float> weights) -> Status {
    ASSIGN_OR_RETURN(auto next, next_of(first, weights));
    ClampVariances(shared, first, next);
    RETURN_IF_ERROR(CheckFinite(next, first, task.table));
    if (!rounder) return writer.Append(AsBytes(std::span<const float>(next)));
    ASSIGN_OR_RETURN(const CompactVersion made, rounder->Add(weights, next));
    RETURN_IF_ERROR(compact->Append(made.bytes));
    return writer.Append(AsBytes(std::span<const float>(made.weights)));
  };
  RETURN_IF_ERROR(VisitWeights(blobs, present, task.table.parameter_count(), put));
  MadeVersion version;
  if (compact) {
    version.compact = CompactWeights{.codec = codec, .base = {}, .blob = {}};
    if (codec == VersionCodec::kBlock8) version.compact->base = present.digest;
    ASSIGN_OR_RETURN(version.compact->blob, compact->Finish());
  }
  ASSIGN_OR_RETURN(version.weights, writer.Finish());
  return version;
}

}  // namespace

Result<MadeVersion> MakeNextWeights(BlobStore& blobs, const BlobRef& present, const WeightedSum& sum,
                                    const TaskRecord& task) {
  const SharedTensors shared(task);
  // What devices keep stays as it is, bit for bit.
  NextOf next_of = [&, mean = std::vector<double>()](
                       uint64_t first, std::span<const float> weights) mutable -> Result<std::vector<float>> {
    std::vector<float> next(weights.begin(), weights.end());
    for (const auto& [in_update, in_version, size] : shared.runs()) {
      const uint64_t begin = std::max(first, in_version), end = std::min(first + weights.size(), in_version + size);
      if (begin >= end) continue;
      mean.resize(end - begin);
      RETURN_IF_ERROR(sum.ReportPart(in_update + (begin - in_version), mean));
      ASSIGN_OR_RETURN(const auto moved, OptimizerOf(task).Step(weights.subspan(begin - first, end - begin), mean));
      std::ranges::copy(moved, next.begin() + static_cast<std::ptrdiff_t>(begin - first));
    }
    return next;
  };
  std::vector<float> whole;
  if (const auto form = LinearFormOf(task)) {
    ASSIGN_OR_RETURN(whole, StepRotatedBack(blobs, present, sum, task, *form, shared));
    next_of = [&](uint64_t first, std::span<const float> weights) -> Result<std::vector<float>> {
      const auto part = std::span(whole).subspan(first, weights.size());
      return std::vector<float>(part.begin(), part.end());
    };
  }
  auto made = PutNext(blobs, present, task, task.policy.version_codec, shared, next_of);
  // A value that float16 cannot say: the version travels as it is.
  if (!made && made.error().code == Code::kNormExceeded)
    return PutNext(blobs, present, task, VersionCodec::kFloat32, shared, next_of);
  return made;
}

}  // namespace tributary

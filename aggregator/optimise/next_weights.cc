#include "aggregator/optimise/next_weights.h"

#include <malloc.h>

#include <algorithm>
#include <cmath>

#include "aggregator/optimise/optimizer_state.h"
#include "aggregator/records/sum_form.h"
#include "aggregator/records/tensor_values.h"
#include "protocol/base/limits.h"
#include "protocol/catalogue/shared_tensors.h"
#include "protocol/payload/version_codec.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {

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

// The mean of consecutive values of the updates, of which the first is value `first`.
using ReadMean = std::function<Status(uint64_t first, std::span<double> mean)>;

// The mean of updates that were summed rotated. It comes in the rotation's order, so it is held whole, in float32.
Result<std::vector<float>> MeanRotatedBack(const WeightedSum& sum, const TaskRecord& task, const LinearForm& form,
                                           uint64_t count) {
  // The chunks of updates were freed in pieces that this mean does not fit into.
  malloc_trim(0);
  std::vector<float> mean(count);
  const auto read = [&](uint64_t first, std::span<double> values) { return sum.ReportPart(first, values); };
  const auto take = [&](std::span<const uint64_t> positions, std::span<const double> values) -> Status {
    for (size_t i = 0; i < values.size(); ++i) mean[positions[i]] = static_cast<float>(values[i]);
    return {};
  };
  // The sum is of updates on the latest version.
  RETURN_IF_ERROR(form.VisitRotatedBack(read, LinearSeed(task.id, task.latest), take));
  return mean;
}

// Consecutive values that the optimiser moves, or that are averaged.
struct Stretch {
  uint64_t in_update = 0;
  uint64_t in_version = 0;
  uint64_t size = 0;
  bool averaged = false;
};
std::vector<Stretch> StretchesOf(const SharedTensors& shared) {
  std::vector<Stretch> stretches;
  for (size_t i = 0; i < shared.table().tensors.size(); ++i) {
    const TensorEntry& tensor = shared.table().tensors[i];
    const Stretch next{tensor.offset, shared.in_version(i), tensor.size, StatisticOf(tensor) != Statistic::kNone};
    Stretch* const last = stretches.empty() ? nullptr : &stretches.back();
    if (last != nullptr && last->averaged == next.averaged && last->in_version + last->size == next.in_version)
      last->size += next.size;
    else
      stretches.push_back(next);
  }
  return stretches;
}
uint64_t MovedValues(std::span<const Stretch> stretches) {
  uint64_t values = 0;
  for (const Stretch& stretch : stretches) values += stretch.averaged ? 0 : stretch.size;
  return values;
}

Status CheckFinite(std::span<const float> weights, uint64_t first, const TensorTable& table) {
  const auto bad = std::ranges::find_if(weights, [](float weight) { return !std::isfinite(weight); });
  if (bad == weights.end()) return {};
  const uint64_t position = first + static_cast<uint64_t>(bad - weights.begin());
  return Fail(Code::kNotFinite, "{} would be {}", PlaceOf(table, position), *bad);
}

// The next values of a version's weights, which are asked for in order, and the state that the optimiser keeps then. One
// that is given up leaves nothing.
class NextValues {
 public:
  static Result<NextValues> Begin(BlobStore& blobs, const PresentVersion& present, const TaskRecord& task,
                                  const std::vector<Stretch>& stretches, const ReadMean& mean) {
    NextValues next(stretches, mean);
    next.optimizer_ = MakeServerOptimizer(task.server_optimizer);
    const OptimizerStateReader::Wanted wanted{*next.optimizer_, task.server_optimizer.name, MovedValues(stretches)};
    const bool keeps = KeepsState(task.server_optimizer);
    ASSIGN_OR_RETURN(auto before, OptimizerStateReader::Open(
                                      blobs, keeps ? present.optimizer_state : std::nullopt, wanted));
    next.rate_ = LearningRateAt(task.server_optimizer, before.steps());
    if (keeps) {
      ASSIGN_OR_RETURN(BlobWriter after, blobs.Write("optimizer"));
      RETURN_IF_ERROR(after.Append(StateHead(wanted, before.steps() + 1)));
      next.after_.emplace(std::move(after));
    }
    next.before_.emplace(std::move(before));
    return next;
  }

  // Those that follow `present`. Kept tensors stay as they are, bit for bit.
  Result<std::vector<float>> Make(uint64_t first, std::span<const float> present) {
    std::vector<float> next(present.begin(), present.end());
    for (const Stretch& stretch : stretches_) {
      const uint64_t begin = std::max(first, stretch.in_version);
      const uint64_t end = std::min(first + present.size(), stretch.in_version + stretch.size);
      if (begin >= end) continue;
      mean_.resize(end - begin);
      RETURN_IF_ERROR(read_mean_(stretch.in_update + (begin - stretch.in_version), mean_));
      const auto values = present.subspan(begin - first, end - begin);
      ASSIGN_OR_RETURN(const auto moved, stretch.averaged ? Averaged(values) : Moved(values));
      std::ranges::copy(moved, next.begin() + static_cast<std::ptrdiff_t>(begin - first));
    }
    return next;
  }

  // All came. Into what the version has beside its weights.
  Status Finish(MadeVersion& made) {
    RETURN_IF_ERROR(before_->Finish());
    if (!after_) return {};
    made.optimizer_began = before_->begins();
    ASSIGN_OR_RETURN(made.optimizer_state, after_->Finish());
    return {};
  }

 private:
  NextValues(const std::vector<Stretch>& stretches, const ReadMean& mean) : stretches_(stretches), read_mean_(mean) {}
  Result<std::vector<float>> Averaged(std::span<const float> present) const {
    return MakeServerOptimizer({})->Step(present, mean_, 1, {});
  }
  Result<std::vector<float>> Moved(std::span<const float> present) {
    ASSIGN_OR_RETURN(auto kept, before_->Next(present.size()));
    auto next = optimizer_->Step(present, mean_, rate_, kept);
    if (after_) RETURN_IF_ERROR(after_->Append(AsBytes(std::span<const float>(kept))));
    return next;
  }

  const std::vector<Stretch>& stretches_;
  const ReadMean& read_mean_;
  std::unique_ptr<const ServerOptimizer> optimizer_;
  double rate_ = 1;
  std::optional<OptimizerStateReader> before_;
  std::optional<BlobWriter> after_;
  std::vector<double> mean_;
};

// Puts the next weights into the store as they come, and with `codec` those that travel small, to which they are
// rounded.
Result<MadeVersion> PutNext(BlobStore& blobs, const PresentVersion& present, const TaskRecord& task, VersionCodec codec,
                            const SharedTensors& shared, const ReadMean& mean) {
  const std::vector<Stretch> stretches = StretchesOf(shared);
  ASSIGN_OR_RETURN(NextValues next_values, NextValues::Begin(blobs, present, task, stretches, mean));
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
    ASSIGN_OR_RETURN(auto next, next_values.Make(first, weights));
    ClampVariances(shared, first, next);
    RETURN_IF_ERROR(CheckFinite(next, first, task.table));
    if (!rounder) return writer.Append(AsBytes(std::span<const float>(next)));
    ASSIGN_OR_RETURN(const CompactVersion made, rounder->Add(weights, next));
    RETURN_IF_ERROR(compact->Append(made.bytes));
    return writer.Append(AsBytes(std::span<const float>(made.weights)));
  };
  RETURN_IF_ERROR(VisitWeights(blobs, present.weights, task.table.parameter_count(), put));
  MadeVersion version;
  RETURN_IF_ERROR(next_values.Finish(version));
  if (compact) {
    version.compact = CompactWeights{.codec = codec, .base = {}, .blob = {}};
    if (codec == VersionCodec::kBlock8) version.compact->base = present.weights.digest;
    ASSIGN_OR_RETURN(version.compact->blob, compact->Finish());
  }
  ASSIGN_OR_RETURN(version.weights, writer.Finish());
  return version;
}

}  // namespace

uint64_t OptimizerStateBytes(const TaskRecord& task) {
  return StateBytes(task.server_optimizer, MovedValues(StretchesOf(SharedTensors(task))));
}

Result<MadeVersion> MakeNextWeights(BlobStore& blobs, const PresentVersion& present, const WeightedSum& sum,
                                    const TaskRecord& task) {
  const SharedTensors shared(task);
  ReadMean read_mean = [&sum](uint64_t first, std::span<double> mean) { return sum.ReportPart(first, mean); };
  std::vector<float> whole;
  if (const auto form = LinearFormOf(task)) {
    ASSIGN_OR_RETURN(whole, MeanRotatedBack(sum, task, *form, shared.table().parameter_count()));
    read_mean = [&whole](uint64_t first, std::span<double> mean) -> Status {
      std::ranges::copy(std::span(whole).subspan(first, mean.size()), mean.begin());
      return {};
    };
  }
  auto made = PutNext(blobs, present, task, task.policy.version_codec, shared, read_mean);
  // A value that float16 cannot say: the version travels as it is.
  if (!made && made.error().code == Code::kNormExceeded)
    return PutNext(blobs, present, task, VersionCodec::kFloat32, shared, read_mean);
  return made;
}

}  // namespace tributary

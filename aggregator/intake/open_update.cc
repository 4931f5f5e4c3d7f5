#include "aggregator/intake/open_update.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "aggregator/records/sum_form.h"
#include "aggregator/records/tensor_values.h"
#include "protocol/base/limits.h"

namespace tributary {
namespace {

// Decodes once more what was decoded: the same parts, so the same values.
void DecodeAgain(const UpdateFormat& format, std::span<const ByteView> parts,
                 const std::function<void(std::span<const float>)>& visit) {
  class Visitor final : public UpdateDecoder::Sink {
   public:
    explicit Visitor(const std::function<void(std::span<const float>)>& to) : to_(to) {}
    Status OnMeta(const UpdateMeta&) override { return {}; }
    Status OnValues(uint64_t, std::span<const float> values) override {
      to_(values);
      return {};
    }

   private:
    const std::function<void(std::span<const float>)>& to_;
  } visitor(visit);
  const auto decoder = MakeUpdateDecoder(format, visitor);
  TRIBUTARY_CHECK(decoder.has_value()) << decoder.error().ToString();
  for (const ByteView part : parts) {
    if (!(*decoder)->Feed(part)) return;  // as it did before, or behind what the sum took
  }
}

// Adds the values as they come out of a chunk.
class AddingSink final : public UpdateDecoder::Sink {
 public:
  // `again`: the values that came so far.
  AddingSink(WeightedSum& sum, const UpdateBounds& bounds, ReplayValues again)
      : sum_(sum), bounds_(bounds), again_(std::move(again)) {}

  Status OnMeta(const UpdateMeta& meta) override {
    const uint64_t parameters = bounds_.layout.parameter_count();
    if (meta.parameter_count != parameters)
      return Fail(Code::kWrongTensorCount, "{} values announced, an update of the task has {}", meta.parameter_count,
                  parameters);
    const UpdateSize& round = bounds_.round;
    const uint64_t most = bounds_.task.max_weight;
    if (meta.weight == 0 || (round.weight == 0 && meta.weight > most))
      return Fail(Code::kBadWeight, "weight {}, the most is {}", meta.weight, most);
    taken_.size.weight = std::min(meta.weight, most);
    const uint64_t weight = round.weight == 0 ? taken_.size.weight : std::min(taken_.size.weight, round.weight);
    taken_.capped = weight < meta.weight;
    UpdateLimits limits{.norm_bound = bounds_.task.norm_bound,
                        .share = bounds_.share,
                        .place = [this](uint64_t position) { return bounds_.layout.Place(position); },
                        .whole_norm = bounds_.whole_norm};
    // Without a bound of the round, an update is one vector, as before there were such bounds.
    if (round.norm > 0) {
      // A rule that sees updates whole sees them as they came.
      if (!bounds_.keep) limits.norm_clip = round.norm;
      limits.statistics_clip = round.statistics;
      limits.statistics = bounds_.layout.statistics();
      limits.reference = bounds_.reference;
    }
    counts_as_ = weight;
    ASSIGN_OR_RETURN(auto addition, sum_.Begin(std::move(limits), weight, again_));
    addition_.emplace(std::move(addition));
    return {};
  }

  Status OnValues(uint64_t first, std::span<const float> values) override {
    if (first > sum_.parameter_count() || values.size() > sum_.parameter_count() - first) {
      return Fail(Code::kWrongTensorCount, "more values than the task's {}", sum_.parameter_count());
    }
    RETURN_IF_ERROR(addition_->Add(values));
    return bounds_.layout.CheckVariances(first, values);
  }

  Result<TakenUpdate> Finish() {
    KeepValues keep;
    if (bounds_.keep) keep = [this](const EachPart& values) { return bounds_.keep(counts_as_, values); };
    ASSIGN_OR_RETURN(const UpdateNorms norms, addition_->Commit(keep));
    taken_.size.norm = norms.distance;
    taken_.size.statistics = norms.statistics;
    taken_.length = norms.values;
    taken_.cosine = norms.cosine;
    const UpdateSize& round = bounds_.round;
    const bool large = norms.distance > round.norm && !bounds_.keep;
    taken_.scaled = round.norm > 0 && (large || norms.statistics > round.statistics);
    return taken_;
  }

 private:
  WeightedSum& sum_;
  const UpdateBounds& bounds_;
  ReplayValues again_;
  std::optional<SumAddition> addition_;
  uint64_t counts_as_ = 0;  // examples
  TakenUpdate taken_;
};

// The part of a variance by which its sum with a device's difference may be off: float32 rounds by 2^-24.
constexpr double kRounding = 0x1p-20;

}  // namespace

UpdateLayout::UpdateLayout(SharedTensors shared, bool rotated) : shared_(std::move(shared)), rotated_(rotated) {
  uint64_t next = 0;
  for (size_t i = 0; i < shared_.table().tensors.size(); ++i) {
    const TensorEntry& tensor = shared_.table().tensors[i];
    const Statistic statistic = StatisticOf(tensor);
    if (statistic == Statistic::kNone) continue;
    const uint64_t first = rotated ? next : tensor.offset;
    next += tensor.size;
    statistics_.push_back({first, tensor.size});
    offsets_.push_back(tensor.offset);
    if (statistic == Statistic::kVariance)
      variances_.push_back({first, shared_.in_version(i), std::vector<float>(tensor.size)});
  }
}

void UpdateLayout::SetPresent(uint64_t first, std::span<const float> weights) {
  for (Variances& variances : variances_) {
    const uint64_t end = std::min(first + weights.size(), variances.in_version + variances.present.size());
    for (uint64_t position = std::max(first, variances.in_version); position < end; ++position)
      variances.present[position - variances.in_version] = weights[position - first];
  }
}

std::string UpdateLayout::Place(uint64_t position) const {
  const TensorTable& table = shared_.table();
  if (!rotated_) return PlaceOf(table, position);
  for (size_t i = 0; i < statistics_.size(); ++i) {
    const uint64_t within = position - statistics_[i].first;
    if (position >= statistics_[i].first && within < statistics_[i].size) return PlaceOf(table, offsets_[i] + within);
  }
  return fmt::format("coordinate {}", position);
}

Status UpdateLayout::CheckVariances(uint64_t first, std::span<const float> values) const {
  for (const Variances& variances : variances_) {
    const uint64_t end = std::min(first + values.size(), variances.first + variances.present.size());
    for (uint64_t position = std::max(first, variances.first); position < end; ++position) {
      const double present = variances.present[position - variances.first];
      const double next = present + values[position - first];
      // One that is negative already may come back.
      if (next < std::min(present, 0.0) - kRounding * std::abs(present))
        return Fail(Code::kNormExceeded, "{} would become {}; a variance is never negative", Place(position), next);
    }
  }
  return {};
}

Result<TakenUpdate> UpdateReader::AddTo(WeightedSum& sum, const UploadHeader& header, const HpkeKeyPair& key,
                                        const UpdateBounds& bounds,
                                        const std::function<Result<Bytes>(uint32_t index)>& chunk) {
  const UploadSubject& subject = header.subject;
  RETURN_IF_ERROR(CheckUpdateSize(subject, bounds.layout.parameter_count()));
  // Room for whole chunks, since OpenChunk asks for it.
  plaintext_.resize(uint64_t{subject.chunk_count} * subject.chunk_size);
  const UpdateFormat format = FormatOf(bounds.task, subject.codec, subject.base_version, bounds.round);
  std::vector<ByteView> decoded;
  AddingSink sink(sum, bounds, [&](const auto& visit) { DecodeAgain(format, decoded, visit); });
  ASSIGN_OR_RETURN(const auto decoder, MakeUpdateDecoder(format, sink));
  ASSIGN_OR_RETURN(auto opener, UploadOpener::Begin(header, key));
  for (uint32_t index = 0; index < subject.chunk_count; ++index) {
    ASSIGN_OR_RETURN(const Bytes ciphertext, chunk(index));
    const auto room = MutableByteView(plaintext_).subspan(uint64_t{index} * subject.chunk_size, subject.chunk_size);
    ASSIGN_OR_RETURN(const size_t size, opener.OpenChunk(ciphertext, room));
    decoded.push_back(room.first(size));
    RETURN_IF_ERROR(decoder->Feed(decoded.back()));
  }
  RETURN_IF_ERROR(decoder->Finish());
  return sink.Finish();
}

}  // namespace tributary

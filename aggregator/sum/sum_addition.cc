#include "aggregator/sum/sum_addition.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "aggregator/sum/weighted_sum.h"

namespace tributary {

SumAddition::SumAddition(SumAddition&& other) noexcept
    : sum_(std::exchange(other.sum_, nullptr)),
      limits_(std::move(other.limits_)),
      weight_(other.weight_),
      again_(std::move(other.again_)),
      position_(other.position_),
      squares_(other.squares_),
      beside_(other.beside_) {}

SumAddition::~SumAddition() {
  if (sum_ == nullptr || position_ == 0) return;
  const SumKernel::Terms terms = sum_->TermsFor(-static_cast<int64_t>(weight_));
  SquareLanes unused{};
  Revisit([&](const Part& part, int64_t* sum) { FastestSumKernel().add(part.values, terms, unused, sum); });
}

SumAddition::Part SumAddition::PartOf(std::span<const float> values, uint64_t position) const {
  const auto range = std::ranges::upper_bound(limits_.statistics, position, {},
                                              [](const ValueRange& one) { return one.first + one.size; });
  if (range == limits_.statistics.end()) return {values, false};
  const bool statistics = range->first <= position;
  const uint64_t end = statistics ? range->first + range->size : range->first;
  return {values.first(std::min<uint64_t>(values.size(), end - position)), statistics};
}

Status SumAddition::Add(std::span<const float> values) {
  if (values.size() > sum_->sum_.size() - position_)
    return Fail(Code::kWrongTensorCount, "more values than the task's {}", sum_->sum_.size());
  while (!values.empty()) {
    const Part part = PartOf(values, position_);
    RETURN_IF_ERROR(AddPart(part));
    values = values.subspan(part.values.size());
  }
  return {};
}

Status SumAddition::AddPart(const Part& part) {
  const uint64_t first = position_;
  const auto values = part.values;
  SquareLanes& squares = squares_[part.statistics ? 1 : 0];
  const SumKernel& kernel = FastestSumKernel();
  const SumKernel::Terms terms = sum_->TermsFor(static_cast<int64_t>(weight_));
  if (!limits_.reference.empty() && !part.statistics)
    beside_.Add(values, limits_.reference.subspan(first, values.size()), first % kSquareLanes);
  position_ += values.size();  // over bad values too: they add nothing and take nothing out
  // Up to the next lane 0 on its own, so that the kernel begins there with the rest.
  const size_t lane = first % kSquareLanes;
  const auto head = values.first(lane == 0 ? 0 : std::min(values.size(), kSquareLanes - lane));
  const auto rest = values.subspan(head.size());
  SquareLanes of_head{};
  const bool head_good = kernel.add(head, terms, of_head, sum_->sum_.data() + first);
  for (size_t i = 0; i < head.size(); ++i) squares[lane + i] += of_head[i];
  const bool rest_good = kernel.add(rest, terms, squares, sum_->sum_.data() + first + head.size());
  if (head_good && rest_good) return {};
  const Status bad = CheckValues(values, first, terms.bound, limits_.place);
  TRIBUTARY_CHECK(!bad) << "a kernel refused good values, the first of them value " << first;
  return bad;
}

void SumAddition::Revisit(const std::function<void(const Part& part, int64_t* sum)>& visit) const {
  uint64_t at = 0;
  again_([&](std::span<const float> values) {
    values = values.first(std::min<uint64_t>(values.size(), position_ - at));
    while (!values.empty()) {
      const Part part = PartOf(values, at);
      visit(part, sum_->sum_.data() + at);
      at += part.values.size();
      values = values.subspan(part.values.size());
    }
  });
  TRIBUTARY_CHECK(at == position_) << at << " values came again of " << position_;
}

void SumAddition::ScaleDown(const std::array<double, 2>& factors) {
  const SumKernel& kernel = FastestSumKernel();
  const auto weight = static_cast<int64_t>(weight_);
  std::array<float, 1024> scaled;  // 4 KiB: stays in the first-level cache
  SquareLanes unused{};
  Revisit([&](const Part& part, int64_t* sum) {
    const double factor = factors[part.statistics ? 1 : 0];
    for (size_t at = 0; factor != 1 && at < part.values.size(); at += scaled.size()) {
      const auto block = part.values.subspan(at, std::min(scaled.size(), part.values.size() - at));
      std::ranges::transform(block, scaled.begin(),
                             [factor](float value) { return static_cast<float>(double{value} * factor); });
      kernel.add(block, sum_->TermsFor(-weight), unused, sum + at);
      kernel.add(std::span(scaled).first(block.size()), sum_->TermsFor(weight), unused, sum + at);
    }
  });
}

// Of what ScaleDown would add, with the rounding of the kernels.
Status SumAddition::CheckWholeNorm(const std::array<double, 2>& factors) const {
  if (limits_.whole_norm == 0) return {};
  // A whole number is at most 2^62 / weight_ (Holds), so no product leaves 128 bits. A total may: it is cut off before.
  const auto most = static_cast<WeightedSum::Uint128>(limits_.whole_norm) * limits_.whole_norm;
  const double scale = std::ldexp(1.0, sum_->scale_.fraction_bits);
  WeightedSum::Uint128 squares = 0;
  Revisit([&](const Part& part, int64_t*) {
    const double factor = factors[part.statistics ? 1 : 0];
    for (size_t i = 0; squares <= most && i < part.values.size(); ++i) {
      const double value = double{part.values[i]};
      const double added = factor == 1 ? value : double{static_cast<float>(value * factor)};
      const auto whole = static_cast<uint64_t>(std::abs(std::llrint(added * scale))) * weight_;
      squares += static_cast<WeightedSum::Uint128>(whole) * whole;
    }
  });
  if (squares <= most) return {};
  return Fail(Code::kNormExceeded, "the whole numbers of the update have a norm over {}, which the noise hides",
              limits_.whole_norm);
}

void SumAddition::PullDown(DyadicFactor factor) {
  const SumKernel::Terms terms = sum_->TermsFor(static_cast<int64_t>(weight_));
  Revisit([&](const Part& part, int64_t* sum) {
    const auto first = static_cast<uint64_t>(sum - sum_->sum_.data());
    const auto centre = limits_.reference.subspan(first, part.values.size());
    if (!part.statistics) ReplaceByPulled(part.values, centre, terms, factor, sum);
  });
}

Status SumAddition::Keep(const KeepValues& keep, double statistics_factor) const {
  return keep([&](const TakePart& take) {
    Status taken;
    std::vector<float> scaled;
    Revisit([&](const Part& part, int64_t*) {
      if (!taken) return;
      if (!part.statistics || statistics_factor == 1) {
        taken = take(part.values);
        return;
      }
      scaled.assign(part.values.begin(), part.values.end());
      for (float& value : scaled) value = static_cast<float>(double{value} * statistics_factor);
      taken = take(scaled);
    });
    return taken;
  });
}

UpdateNorms SumAddition::Norms() const {
  UpdateNorms norms{.values = Norm(squares_[0]), .statistics = Norm(squares_[1])};
  norms.distance = norms.values;
  if (limits_.reference.empty()) return norms;
  norms.distance = Norm(beside_.distance);
  const double lengths = norms.values * Norm(beside_.reference);
  double dot = 0;
  for (const double lane : beside_.dot) dot += lane;
  if (lengths > 0) norms.cosine = std::clamp(dot / lengths, -1.0, 1.0);
  return norms;
}

Result<UpdateNorms> SumAddition::Commit(const KeepValues& keep) {
  if (position_ != sum_->sum_.size())
    return Fail(Code::kWrongTensorCount, "{} values, the task has {}", position_, sum_->sum_.size());
  const UpdateNorms norms = Norms();
  // A bound that is no number refuses everything.
  if (!(norms.values <= limits_.norm_bound))
    return Fail(Code::kNormExceeded, "norm {}, the bound is {}", norms.values, limits_.norm_bound);
  const double share = std::ldexp(static_cast<double>(limits_.share), -30);
  std::array<double, 2> factors = {share, share};
  if (norms.statistics > limits_.statistics_clip) factors[1] *= limits_.statistics_clip / norms.statistics;
  if (limits_.reference.empty() && norms.values > limits_.norm_clip) factors[0] *= limits_.norm_clip / norms.values;
  RETURN_IF_ERROR(CheckWholeNorm(factors));
  if (keep) RETURN_IF_ERROR(Keep(keep, factors[1]));
  if (!limits_.reference.empty() && norms.distance > limits_.norm_clip)
    PullDown(DyadicFactor::For(limits_.norm_clip, norms.distance));
  if (factors != std::array<double, 2>{1, 1}) ScaleDown(factors);
  sum_->total_weight_ += weight_;
  sum_->taken_off_ += static_cast<WeightedSum::Uint128>(kWholeShare - limits_.share) * weight_;
  ++sum_->contributions_;
  sum_ = nullptr;
  return norms;
}

}  // namespace tributary

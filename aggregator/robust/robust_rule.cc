#include "aggregator/robust/robust_rule.h"

#include <algorithm>
#include <cmath>

namespace tributary {
namespace {

// ---- one value at a time

class MedianRule final : public RobustRule {
 public:
  Result<WeightedSum> Combine(const RobustInput& input, const WeightedSum& like) const override {
    RETURN_IF_ERROR(CheckCount(input.policy, input.updates.size()));
    WeightedSum made = like.MadeOf(1);
    const size_t count = input.updates.size(), middle = count / 2;
    std::vector<int64_t> column(count);
    const auto take = [&](uint64_t first, std::span<const std::span<int64_t>> rows) -> Status {
      for (size_t at = 0; at < rows.front().size(); ++at) {
        for (size_t i = 0; i < count; ++i) column[i] = rows[i][at];
        const auto upper = column.begin() + static_cast<std::ptrdiff_t>(middle);
        std::nth_element(column.begin(), upper, column.end());
        int64_t median = *upper;
        if (count % 2 == 0) median = RoundedQuotient(*std::max_element(column.begin(), upper) + median, 2);
        made.mutable_values()[first + at] = median;
      }
      return {};
    };
    RETURN_IF_ERROR(VisitBlocks(input.updates, take));
    return made;
  }
};

// Yin et al. 2018.
class TrimmedMeanRule final : public RobustRule {
 public:
  Result<WeightedSum> Combine(const RobustInput& input, const WeightedSum& like) const override {
    RETURN_IF_ERROR(CheckCount(input.policy, input.updates.size()));
    const size_t count = input.updates.size();
    const auto trimmed = static_cast<std::ptrdiff_t>(ShareOf(count, input.policy.trim_percent));
    WeightedSum made = like.MadeOf(count - 2 * static_cast<size_t>(trimmed));
    std::vector<int64_t> column(count);
    const auto take = [&](uint64_t first, std::span<const std::span<int64_t>> rows) -> Status {
      for (size_t at = 0; at < rows.front().size(); ++at) {
        for (size_t i = 0; i < count; ++i) column[i] = rows[i][at];
        const auto begin = column.begin() + trimmed, end = column.end() - trimmed;
        if (trimmed > 0) {
          std::nth_element(column.begin(), begin, column.end());
          std::nth_element(begin, end - 1, column.end());
        }
        int64_t sum = 0;
        for (auto kept = begin; kept != end; ++kept) sum += *kept;
        made.mutable_values()[first + at] = sum;
      }
      return {};
    };
    RETURN_IF_ERROR(VisitBlocks(input.updates, take));
    return made;
  }
};

// ---- whole updates by their distances

// The plain sum of some of the updates.
Result<WeightedSum> SumOf(const UpdateSet& updates, std::span<const size_t> chosen, const WeightedSum& like) {
  WeightedSum made = like.MadeOf(chosen.size());
  constexpr size_t kPiece = 65'536;
  std::vector<int64_t> piece(std::min<uint64_t>(kPiece, updates.parameter_count()));
  for (uint64_t first = 0; first < updates.parameter_count(); first += kPiece) {
    const auto part = std::span(piece).first(std::min<uint64_t>(kPiece, updates.parameter_count() - first));
    const auto to = made.mutable_values().subspan(first, part.size());
    for (const size_t update : chosen) {
      RETURN_IF_ERROR(updates.Read(update, first, part));
      for (size_t i = 0; i < part.size(); ++i) to[i] += part[i];
    }
  }
  return made;
}

class KrumRule final : public RobustRule {
 public:
  explicit KrumRule(bool several) : several_(several) {}
  Result<WeightedSum> Combine(const RobustInput& input, const WeightedSum& like) const override {
    RETURN_IF_ERROR(CheckCount(input.policy, input.updates.size()));
    ASSIGN_OR_RETURN(const DistanceTable table, MeasureDistances(input.updates, input.statistics));
    const size_t count = input.updates.size();
    const uint64_t hostile = ShareOf(count, input.policy.hostile_percent);
    const size_t chosen = several_ ? count - hostile : 1;
    return SumOf(input.updates, KrumChoice(table, hostile, chosen, KrumRounds::kOnce), like);
  }

 private:
  bool several_;
};

// El Mhamdi et al. 2018.
class BulyanRule final : public RobustRule {
 public:
  Result<WeightedSum> Combine(const RobustInput& input, const WeightedSum& like) const override {
    RETURN_IF_ERROR(CheckCount(input.policy, input.updates.size()));
    ASSIGN_OR_RETURN(const DistanceTable table, MeasureDistances(input.updates, input.statistics));
    const size_t count = input.updates.size();
    const uint64_t hostile = ShareOf(count, input.policy.hostile_percent);
    const auto chosen = KrumChoice(table, hostile, count - 2 * hostile, KrumRounds::kAgain);
    const size_t kept = chosen.size() - 2 * hostile;
    WeightedSum made = like.MadeOf(kept);
    std::vector<int64_t> column(chosen.size());
    const auto take = [&](uint64_t first, std::span<const std::span<int64_t>> rows) -> Status {
      for (size_t at = 0; at < rows.front().size(); ++at) {
        for (size_t i = 0; i < chosen.size(); ++i) column[i] = rows[chosen[i]][at];
        made.mutable_values()[first + at] = SumAroundMedian(column, kept);
      }
      return {};
    };
    RETURN_IF_ERROR(VisitBlocks(input.updates, take));
    return made;
  }

 private:
  // The `kept` values that are nearest to the median; of equally near ones the smaller. Sorts them.
  static int64_t SumAroundMedian(std::vector<int64_t>& column, size_t kept) {
    std::ranges::sort(column);
    const size_t count = column.size();
    // Twice the median: a half is no integer.
    const int64_t twice = column[(count - 1) / 2] + column[count / 2];
    size_t first = 0;
    // They are neighbours: the window moves up while what it gains is nearer than what it loses.
    while (first + kept < count && 2 * column[first + kept] - twice < twice - 2 * column[first]) ++first;
    int64_t sum = 0;
    for (size_t i = first; i < first + kept; ++i) sum += column[i];
    return sum;
  }
};

class GeometricMedianRule final : public RobustRule {
 public:
  Result<WeightedSum> Combine(const RobustInput& input, const WeightedSum& like) const override {
    RETURN_IF_ERROR(CheckCount(input.policy, input.updates.size()));
    ASSIGN_OR_RETURN(const DistanceTable table, MeasureDistances(input.updates, input.statistics));
    std::vector<double> weights;
    for (size_t i = 0; i < input.updates.size(); ++i) weights.push_back(static_cast<double>(input.updates.weight(i)));
    const double smoothing = std::ldexp(input.policy.smoothing, like.scale().fraction_bits);
    return CombineByShares(input.updates, WeiszfeldShares(table, weights, smoothing, input.policy.steps), like);
  }
};

// ---- around the last aggregate

// Of groups; single updates are pulled as they are summed (WeightedSum).
class CentredClipRule final : public RobustRule {
 public:
  Result<WeightedSum> Combine(const RobustInput& input, const WeightedSum& like) const override {
    RETURN_IF_ERROR(CheckCount(input.policy, input.updates.size()));
    const auto reference = [&](uint64_t first, std::span<double> values) -> Status {
      for (size_t i = 0; i < values.size(); ++i) values[i] = input.reference.empty() ? 0 : input.reference[first + i];
      return {};
    };
    const double scale = std::ldexp(1.0, like.scale().fraction_bits);
    ASSIGN_OR_RETURN(const auto likenesses, CompareWith(input.updates, input.statistics, scale, reference));
    uint64_t weight = 0;
    for (size_t i = 0; i < input.updates.size(); ++i) weight += input.updates.weight(i);
    WeightedSum made = like.MadeOf(weight);
    const float bound = FloatBound(like.value_bound());
    std::vector<int64_t> centres;
    const auto take = [&](uint64_t first, std::span<const std::span<int64_t>> rows) -> Status {
      const size_t columns = rows.front().size();
      centres.assign(columns, 0);
      for (size_t at = 0; at < columns && !input.reference.empty(); ++at)
        centres[at] = like.scale().ToFixed(std::clamp(input.reference[first + at], -bound, bound));
      const auto to = made.mutable_values().subspan(first, columns);
      for (size_t i = 0; i < rows.size(); ++i) {
        const auto factor = DyadicFactor::For(input.bound, likenesses[i].distance);
        const auto times = static_cast<int64_t>(input.updates.weight(i));
        for (size_t at = 0; at < columns; ++at) to[at] += Pulled(rows[i][at], centres[at], factor) * times;
      }
      // Statistics are as they came.
      for (const ValueRange& range : input.statistics) {
        const uint64_t begin = std::max(range.first, first), end = std::min(range.first + range.size, first + columns);
        for (uint64_t at = begin; at < end; ++at) {
          to[at - first] = 0;
          for (size_t i = 0; i < rows.size(); ++i)
            to[at - first] += rows[i][at - first] * static_cast<int64_t>(input.updates.weight(i));
        }
      }
      return {};
    };
    RETURN_IF_ERROR(VisitBlocks(input.updates, take));
    return made;
  }
};

}  // namespace

const RobustRule& RobustRuleOf(RobustRuleName rule) {
  static const CentredClipRule centred_clip;
  static const GeometricMedianRule geometric_median;
  static const MedianRule median;
  static const TrimmedMeanRule trimmed_mean;
  static const KrumRule krum(false), multi_krum(true);
  static const BulyanRule bulyan;
  switch (rule) {
    case RobustRuleName::kCentredClip:
      return centred_clip;
    case RobustRuleName::kGeometricMedian:
      return geometric_median;
    case RobustRuleName::kMedian:
      return median;
    case RobustRuleName::kTrimmedMean:
      return trimmed_mean;
    case RobustRuleName::kKrum:
      return krum;
    case RobustRuleName::kMultiKrum:
      return multi_krum;
    case RobustRuleName::kBulyan:
      return bulyan;
    case RobustRuleName::kClip:
      break;
  }
  TRIBUTARY_CHECK(rule != RobustRuleName::kClip) << "this rule is the sum itself";
  return median;
}

std::vector<double> WeiszfeldShares(const DistanceTable& table, std::span<const double> weights, double smoothing,
                                    uint32_t steps) {
  const size_t count = table.updates();
  // The last one is the point 0, at which it begins.
  std::vector<double> shares(count + 1), next(count);
  shares[count] = 1;
  for (uint32_t step = 0; step < steps; ++step) {
    // |z - x_i|^2 = sum_j s_j D_ij - 1/2 sum_jk s_j s_k D_jk, where z = sum_j s_j x_j and the shares sum to 1.
    std::vector<double> to(count + 1);
    for (size_t i = 0; i <= count; ++i) {
      for (size_t j = 0; j <= count; ++j) to[i] += shares[j] * table.square(i, j);
    }
    double within = 0;
    for (size_t j = 0; j <= count; ++j) within += shares[j] * to[j];
    double total = 0;
    for (size_t i = 0; i < count; ++i) {
      const double distance = std::sqrt(std::max(to[i] - within / 2, 0.0));
      next[i] = weights[i] / std::max(smoothing, distance);
      total += next[i];
    }
    for (size_t i = 0; i < count; ++i) shares[i] = next[i] / total;
    shares[count] = 0;
  }
  shares.pop_back();
  return shares;
}

Result<WeightedSum> CombineByShares(const UpdateSet& updates, std::span<const double> shares, const WeightedSum& like) {
  constexpr int kShareBits = 30;
  std::vector<int64_t> parts;
  int64_t rest = int64_t{1} << kShareBits;
  for (const double share : shares) {
    parts.push_back(std::llrint(std::ldexp(share, kShareBits)));
    rest -= parts.back();
  }
  *std::ranges::max_element(parts) += rest;
  WeightedSum made = like.MadeOf(1);
  std::vector<WideInteger> sums;
  const auto take = [&](uint64_t first, std::span<const std::span<int64_t>> rows) -> Status {
    sums.assign(rows.front().size(), 0);
    for (size_t i = 0; i < rows.size(); ++i) {
      for (size_t at = 0; at < sums.size(); ++at) sums[at] += WideInteger{rows[i][at]} * parts[i];
    }
    for (size_t at = 0; at < sums.size(); ++at) made.mutable_values()[first + at] = RoundedDyadic(sums[at]);
    return {};
  };
  RETURN_IF_ERROR(VisitBlocks(updates, take));
  return made;
}

std::vector<size_t> KrumChoice(const DistanceTable& table, uint64_t hostile, size_t count, KrumRounds rounds) {
  std::vector<size_t> left(table.updates()), chosen;
  for (size_t i = 0; i < left.size(); ++i) left[i] = i;
  const auto scores = [&] {
    const size_t wanted = left.size() > hostile + 2 ? left.size() - hostile - 2 : 1;
    std::vector<std::pair<double, size_t>> scored;
    for (const size_t one : left) {
      std::vector<double> squares;
      for (const size_t other : left) {
        if (other != one) squares.push_back(table.square(one, other));
      }
      std::ranges::sort(squares);
      squares.resize(std::min(squares.size(), wanted));
      double score = 0;
      for (const double square : squares) score += square;
      scored.emplace_back(score, one);
    }
    std::ranges::sort(scored);
    return scored;
  };
  if (rounds == KrumRounds::kOnce) {
    for (const auto& [score, update] : scores()) chosen.push_back(update);
    chosen.resize(count);
  } else {
    while (chosen.size() < count) {
      chosen.push_back(scores().front().second);
      std::erase(left, chosen.back());
    }
  }
  std::ranges::sort(chosen);
  return chosen;
}

}  // namespace tributary

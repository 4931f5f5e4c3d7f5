#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "aggregator/sum/sum_addition.h"
#include "aggregator/sum/sum_kernel.h"
#include "protocol/base/bytes.h"
#include "protocol/base/file.h"
#include "protocol/base/result.h"
#include "protocol/payload/bounds.h"
#include "protocol/payload/fixed_point.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {

// The weighted sum of updates in 64-bit fixed point: exact, so it does not depend on order, grouping, threads or
// replays.
//   sum[i] = Σ_d  q(x_d[i] * s_d) * w_d,   q(x) = round_to_nearest_even(x * 2^F)   (protocol/payload/fixed_point.h)
// where the share s_d is 1 but for updates that count in part; the mean is sum[i] / Σ_d s_d * w_d.
// Memory: 8 bytes per parameter. Value type that only moves (it may be large); not thread safe. An update is checked in
// the same pass that adds it, since what costs is the traffic to memory: one pass takes 20 bytes per parameter, a pass
// that only checks 4 more. When a bad value or the norm turns up after something was added, the same integers are
// subtracted again, which is exact; a refused update leaves every bit of the sum as it was. An update that is to be
// scaled down is taken out and added again in the same way. Either asks for the values once more; others are seen once.
//
// The sum of a private task begins with its noise (BeginNoise, AddNoise), so that it exists nowhere without it: not in
// memory, not in a checkpoint. Its mean is over a fixed denominator, which says nothing of who was in.
class WeightedSum {
 public:
  // Whether a sum of these never overflows. For what was stored: the constructor dies of what it does not hold.
  static bool Holds(FixedPointScale scale, double value_bound, uint64_t max_total_weight);
  // `value_bound` is positive and finite; max_total_weight * value_bound * 2^F is at most 2^62 (FixedPointScale::For
  // sees to that), so a sum of rounded values stays below 2^63.
  WeightedSum(uint64_t parameter_count, FixedPointScale scale, double value_bound, uint64_t max_total_weight);
  WeightedSum(WeightedSum&&) noexcept = default;
  WeightedSum& operator=(WeightedSum&&) noexcept = default;

  // kBadWeight: 0, or the total would pass max_total_weight. `again` is called before the addition's end, perhaps more
  // than once.
  Result<SumAddition> Begin(UpdateLimits limits, uint64_t weight, ReplayValues again);
  // A sum of nothing becomes one with noise. `denominator` is at least 1.
  void BeginNoise(uint64_t denominator);
  // Adds values of noise, from `first` on; before any update. kMalformed: one of a magnitude over 2^40.
  Status AddNoise(uint64_t first, std::span<const int64_t> noise);
  // 0: it has no noise.
  uint64_t noise_denominator() const { return noise_.denominator; }
  // An empty one of this scale, in the same memory; its noise goes too. Dies of what it does not hold, as the constructor.
  void Restart(FixedPointScale scale, uint64_t max_total_weight);
  // Another most that the total weight may get to; what it has already is allowed. kConflict: it could overflow.
  Status Allow(uint64_t max_total_weight);
  // A sum of the same shape, scale and bounds that a robust rule made of the updates in this one: its values are written
  // by the rule, each at most what `weight` examples can make. `weight` is at most max_total_weight: it dies of more.
  WeightedSum MadeOf(uint64_t weight) const;
  std::span<int64_t> mutable_values() { return sum_; }
  FixedPointScale scale() const { return scale_; }
  double value_bound() const { return value_bound_; }
  // kConflict: another shape, scale or bound, or noise in both. kBadWeight: the totals together pass max_total_weight.
  Status Merge(WeightedSum&& other);

  uint64_t parameter_count() const { return sum_.size(); }
  uint64_t total_weight() const { return total_weight_; }
  uint64_t contributions() const { return contributions_; }
  // Of the mean: the denominator of a sum with noise, or the weights by the shares of their updates. total_weight() when all count whole.
  double divisor() const;
  // The weighted mean, parameter_count values. kConflict when nothing was added.
  Result<std::vector<double>> Report() const;
  // The same of the values from `first` on, as many as `mean` has: a mean of doubles is as large as the sum.
  Status ReportPart(uint64_t first, std::span<double> mean) const;

  // The form that checkpoints and the aggregate digest are made of; the same sum gives the same bytes (grammar in the
  // .cc). Handed over in two pieces, of which the large one is the sum's own memory. Its first error ends it.
  Status VisitSerialized(const std::function<Status(ByteView piece)>& visit) const;
  uint64_t serialized_size() const;
  Digest SerializedDigest() const;
  Bytes Serialize() const;
  // kMalformed: the form, a scale that could overflow, or a sum that no updates of the total weight have.
  static Result<WeightedSum> Deserialize(ByteView bytes);

 private:
  friend class SumAddition;
  friend Result<WeightedSum> ReadCheckpoint(FileSystem& files, const Path& path);
  // A sum with everything but its values, which follow and are checked then.
  static Result<WeightedSum> OfHead(ByteView head, uint64_t value_bytes);
  Status CheckSums() const;
  Status CheckWeight(uint64_t weight) const;
  SumKernel::Terms TermsFor(int64_t weight) const;

  CacheAligned<int64_t> sum_;
  FixedPointScale scale_;
  double value_bound_;
  uint64_t max_total_weight_;
  uint64_t total_weight_ = 0;
  uint64_t contributions_ = 0;
  // What the shares take off the total weight, Σ_d (1 - s_d) * w_d, in units of 2^-30.
  __extension__ typedef unsigned __int128 Uint128;
  Uint128 taken_off_ = 0;
  struct Noise {
    uint64_t denominator = 0;
    uint64_t largest = 0;  // magnitude
  };
  Noise noise_;
};

// Writes a sum to `path`, durable on return (written beside, synced, renamed, folder synced), and reads it back, both
// without a copy of the sum. The
// file is the serialised sum followed by its SHA-256; the caller's database names the file that counts, so two
// generations lie side by side until the transaction with the contribution keys commits.
Status WriteCheckpoint(FileSystem& files, const Path& path, const WeightedSum& sum);
// kNotFound, kCorrupt (the digest does not fit; the message says the size).
Result<WeightedSum> ReadCheckpoint(FileSystem& files, const Path& path);

}  // namespace tributary

#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>

#include "aggregator/sum/centred_clip.h"
#include "protocol/base/result.h"
#include "protocol/payload/bounds.h"

namespace tributary {

class WeightedSum;

// The part of an update that counts, in units of 2^-30: a dyadic factor, so that no order of updates changes a bit.
inline constexpr uint32_t kWholeShare = uint32_t{1} << 30;

// How a sum takes an update. Its statistics are measured apart: how large they are follows the data, not the training.
struct UpdateLimits {
  double norm_bound = std::numeric_limits<double>::infinity();       // an update with a larger norm is refused
  double norm_clip = std::numeric_limits<double>::infinity();        // one with a larger norm is scaled down to it
  double statistics_clip = std::numeric_limits<double>::infinity();  // the same for the norm of its statistics
  std::span<const ValueRange> statistics = {};                       // ascending; it must outlive the addition
  // Of as many values as the update, finite, and it must outlive the addition: norm_clip then bounds the distance from it,
  // and an update that is farther away is pulled to it (centred_clip.h). Its statistics are not looked at. Empty: none.
  std::span<const float> reference = {};
  uint32_t share = kWholeShare;  // at least 1; less, without a reference: the values and the weight count so much
  PlaceOfValue place = {};       // the name of a value in errors
  // One whose whole numbers, as they are summed, have a larger norm after all that is refused. 0: nobody looks. Not with a
  // reference.
  uint64_t whole_norm = 0;
};

// Euclidean norms of an update: of its statistics, and of its other values; and where these lie beside a reference.
struct UpdateNorms {
  double values = 0;
  double statistics = 0;
  double distance = 0;                // from the reference; without one the same as `values`
  std::optional<double> cosine = {};  // to the reference; absent where one of them is 0
};

// Hands over an update's values in order, in parts. An error of `take` ends it, and is its own.
using TakePart = std::function<Status(std::span<const float> values)>;
using EachPart = std::function<Status(const TakePart& take)>;
// Takes the values of an update as they are summed.
using KeepValues = std::function<Status(const EachPart& values)>;

// Hands over the values of an update once more: the same ones in the same order, from the first to at least the last
// that was added. The cuts may differ, and nothing fails.
using ReplayValues = std::function<void(const std::function<void(std::span<const float> values)>& visit)>;

// One update on its way into the sum, part by part, each added while it is in cache. It counts with Commit; an
// addition that is destroyed before takes out again what it added. One at a time, and while it lives the sum is
// neither moved nor used. Resource type.
class SumAddition {
 public:
  SumAddition(SumAddition&& other) noexcept;
  SumAddition& operator=(SumAddition&&) = delete;
  ~SumAddition();

  // The update's next values. kWrongTensorCount (more than the task has), kNotFinite, kNormExceeded (a value over the
  // value bound; both name the value). After an error nothing but the end may follow.
  Status Add(std::span<const float> values);
  // All values came. Gives the update's norms as it came, which are summed in double in an order that depends on the
  // positions only: neither the verdict nor the bits of an update that is scaled down depend on the parts or on the
  // processor. kWrongTensorCount (fewer), kNormExceeded. Nothing but the end may follow. `keep` is called last, when
  // nothing else can fail: its error is the commit's.
  Result<UpdateNorms> Commit(const KeepValues& keep = {});

 private:
  friend class WeightedSum;
  SumAddition(WeightedSum& sum, UpdateLimits limits, uint64_t weight, ReplayValues again)
      : sum_(&sum), limits_(std::move(limits)), weight_(weight), again_(std::move(again)) {}
  // The first of `values`, of which the first is value `position`, that are all statistics or all none.
  struct Part {
    std::span<const float> values;
    bool statistics;
  };
  Part PartOf(std::span<const float> values, uint64_t position) const;
  Status AddPart(const Part& part);
  UpdateNorms Norms() const;
  // The parts that were added so far.
  void Revisit(const std::function<void(const Part& part, int64_t* sum)>& visit) const;
  // Of the whole numbers that come out of these factors.
  Status CheckWholeNorm(const std::array<double, 2>& factors) const;
  // Replaces what was added by float(value * its factor): of the values; of the statistics.
  void ScaleDown(const std::array<double, 2>& factors);
  // Replaces what was added of values by what is pulled to the reference.
  void PullDown(DyadicFactor factor);
  Status Keep(const KeepValues& keep, double statistics_factor) const;

  WeightedSum* sum_;  // null: nothing to take out
  UpdateLimits limits_;
  uint64_t weight_;
  ReplayValues again_;
  uint64_t position_ = 0;
  std::array<SquareLanes, 2> squares_{};  // of the values; of the statistics
  ReferenceLanes beside_;                 // of the values
};

}  // namespace tributary

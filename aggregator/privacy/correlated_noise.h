#pragma once

#include <optional>
#include <span>
#include <vector>

#include "aggregator/privacy/integer_gaussian.h"

namespace tributary {

// Noise that is correlated over the rounds of a run, so that a round takes back part of what rounds before it added:
// the error of the model, which is the sum of all rounds, is 3 to 9 times smaller in runs of 100 to 2,000 rounds than
// with independent noise of the same privacy. A buffered linear Toeplitz strategy (BLT; Dvijotham, McMahan, Pillutla,
// Steinke, Thakurta, "Efficient and Near-Optimal Noise Generation for Streaming Differential Privacy", 2024; McMahan,
// Xu, Zhang, "A Hassle-free Algorithm for Private Learning in Practice: Don't Use Tree Aggregation, Use BLTs", 2024) is
// the lower triangular matrix C with
//   c[0] = 1,  c[t] = sum over i of omega[i] theta[i]^(t - 1)
// on its diagonals, with one buffer for each i. The run's noise is C^-1 z, z independent.
//
// Parts are whole multiples of 2^-30, which a double holds exactly: what is accounted for is what is computed.
struct Blt {
  struct Buffer {
    uint32_t decay = 0;   // theta * 2^30, below 2^30
    uint32_t weight = 0;  // omega * 2^30, above 0
  };
  std::vector<Buffer> buffers;

  static constexpr double kUnit = 1.0 / (1 << 30);
  // The first `count` of c, of C^-1.
  std::vector<double> Coefficients(uint64_t count) const;
  std::vector<double> Inverse(uint64_t count) const;
};

// How a device takes part in a run: in at most `participations` of its rounds, and never in two that are less than
// `separation` apart.
struct Participation {
  uint64_t rounds = 1;
  uint64_t separation = 1;
  uint64_t participations = 1;  // what `separation` leaves of them, if that is less

  // min(participations, ceil(rounds / separation)). All three are at least 1.
  uint64_t Most() const;
};

// The Euclidean norm of the most that a device of norm 1 changes C times the run: the square root of
//   || sum over j < k of c shifted by j b ||^2
// over the run's rounds (Choquette-Choo and others, "Correlated Noise Provably Beats Independent Noise", 2024, theorem
// 2). Exact, for the coefficients of C are positive and fall: the buffers' weights add up to at most 1.
double Sensitivity(const Blt& blt, const Participation& participation);
// The largest deviation that noise C^-1 z with deviation 1 has in the sum of the rounds up to any of the run.
double LargestError(const Blt& blt, uint64_t rounds);
// The product of the two: what a run loses by noise, for one measure of privacy. Of independent rounds it is
// sqrt(rounds * participations).
double RootLoss(const Blt& blt, const Participation& participation);
// That of four that were made for 100 to 2,000 rounds which loses least here. nullopt: independent rounds lose less.
std::optional<Blt> BestBlt(const Participation& participation);

// The noise of a run, round by round, in whole numbers: with `buffers` b,
//   noise = z - round(sum of omega b),   b = theta b + noise
// z from IntegerGaussian. The buffers have 24 binary places more. Round by round the noise is a whole-number Gaussian
// plus what the rounds before decide, so the whole run is that Gaussian shifted, whatever anybody chose in between. Two
// runs that differ by one device of norm D differ in the shift by C times that device and by the two roundings, at most
// 1.01 a value and round. So their distance is at most RunSensitivity(), and nothing is left to hope for from rounding.
//
// `buffers` are stored with the round before its noise is used: with them the noise of the round after can be drawn,
// and never a second one of the same. Resource type, not thread safe.
class CorrelatedNoise {
 public:
  // `buffers`: empty for a run that begins, or what Buffers() was; kCorrupt when it has another length.
  // kInvalidArgument: the variance (at most 2^52 here, so that buffers hold it), as of IntegerGaussian. `random` is
  // asked once.
  static Result<CorrelatedNoise> Create(const Blt& blt, Variance sigma_squared, uint64_t values,
                                        std::vector<int64_t> buffers, Random& random);

  // The next round's; `out` has as many values as the run.
  void Draw(std::span<int64_t> out);
  // The first buffer of all values, then the second.
  std::span<const int64_t> Buffers() const { return buffers_; }

 private:
  CorrelatedNoise(const Blt& blt, IntegerGaussian gaussian, std::vector<int64_t> buffers)
      : blt_(blt), gaussian_(std::move(gaussian)), buffers_(std::move(buffers)) {}

  Blt blt_;
  IntegerGaussian gaussian_;
  std::vector<int64_t> buffers_;
};

// sqrt(values * rounds) * 1.01 + norm_bound * Sensitivity(): what z's deviation is divided by for the multiplier of the
// whole run (MultiplierOf). `norm_bound` in whole numbers, as they are summed.
double RunSensitivity(const Blt& blt, const Participation& participation, double norm_bound, uint64_t values);

}  // namespace tributary

#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace tributary {

// Numbers that look random and repeat from a seed, the same with every compiler and standard library (the distributions
// of <random> are left to the implementation, so a seed would mean something else elsewhere). Generator:
// xoshiro256** 1.0 (Blackman & Vigna, "Scrambled linear pseudorandom number generators", 2021), its state filled from
// the seed by SplitMix64. Never for keys, nonces or privacy noise. Value type; not thread safe.
class RepeatableRandom {
 public:
  explicit RepeatableRandom(uint64_t seed);

  uint64_t Next();
  // Uniform in [0, 1): the upper 53 bits.
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  // Uniform in [0, bound) without bias: Lemire, "Fast random integer generation in an interval" (2019). bound > 0.
  uint64_t Below(uint64_t bound);
  // Standard normal by Marsaglia's polar method.
  double Normal();
  // The natural logarithm of a Gamma(shape, 1) variate: Marsaglia & Tsang, "A simple method for generating gamma
  // variables" (2000), with their boost for shape < 1. A logarithm, because for a shape of 0.01 the variate itself
  // often underflows. shape > 0.
  double LogGamma(double shape);
  // Fisher-Yates.
  void Shuffle(std::span<uint32_t> values);

 private:
  std::array<uint64_t, 4> state_;
};

// A seed for one purpose out of a general one: a change of `purpose` or `number` gives an unrelated stream. FNV-1a over
// the bytes, then SplitMix64's finaliser.
uint64_t DeriveSeed(uint64_t seed, std::string_view purpose, uint64_t number = 0);

}  // namespace tributary

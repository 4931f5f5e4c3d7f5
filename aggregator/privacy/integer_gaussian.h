#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "protocol/base/random.h"
#include "protocol/base/result.h"
#include "protocol/trust/seal/key_stream.h"

namespace tributary {

// A positive rational number of whole parts.
struct Variance {
  uint64_t numerator = 1;
  uint64_t denominator = 1;
};

// The discrete Gaussian: independent whole numbers x with probability proportional to exp(-x^2 / (2 sigma^2)), exactly,
// by rejection with whole numbers only (Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy",
// 2020, algorithms 1 to 3). No floating point takes part, so there is nothing of Mironov's attack (2012) to find in the
// low bits. A value comes from a discrete Laplace of scale t, here the power of two nearest to sigma, and stays with
// probability exp(-(|x| - sigma^2 / t)^2 / (2 sigma^2)). The only liberty: values of 64 t and more, which have less
// than 10^-400 of the mass, are not drawn.
//
// The bits are AES-256 in counter mode under a key from `random`; the same key gives the same values everywhere. How
// long a value takes depends on it, so noise is drawn ahead, never between a question and its answer. Resource type,
// not thread safe.
class IntegerGaussian {
 public:
  // What keeps every product in 128 bits.
  static constexpr uint64_t kLargestPart = uint64_t{1} << 56;

  // sigma^2 is between 2^-6 and 2^56, its parts are at most kLargestPart. kInvalidArgument otherwise. `random` is asked
  // once.
  static Result<IntegerGaussian> Create(Variance sigma_squared, Random& random);

  int64_t Draw();
  void Draw(std::span<int64_t> out);

 private:
  __extension__ using Wide = unsigned __int128;

  IntegerGaussian(Variance sigma_squared, Random& random);
  // The next `count` words of 32 random bits.
  const uint32_t* Take(size_t count);
  // True with probability part / whole; part <= whole.
  bool Coin(uint32_t part, uint32_t whole);
  bool WideCoin(Wide part, Wide whole);  // whole < 2^127
  // The first of the coins of 1/2, 1/3, 1/4 … that fails: beyond k with probability 1 / k!.
  uint32_t FirstFailure(uint32_t word);
  uint32_t CloseFirstFailure(uint32_t word);
  // True with probability 1 / e.
  bool OneOverE() { return FirstFailure(*Take(1)) % 2 == 1; }
  // `words` has 5. A uniform number below t, which stays with probability exp(-number / t).
  bool LaplaceStays(const uint32_t* words, uint32_t below);
  bool Stays(uint64_t magnitude);

  KeyStream stream_;
  std::array<uint32_t, 1024> words_;  // a page
  size_t at_ = words_.size();
  Variance sigma_squared_;
  int log_scale_;  // t = 2^log_scale_
  Wide divisor_;   // 2 numerator denominator t^2
};

}  // namespace tributary

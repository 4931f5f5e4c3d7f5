#include "aggregator/sum/sum_kernel.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "protocol/payload/fixed_point.h"
#include "tests/support/seeded_random.h"

namespace tributary::sum_kernel_test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kDenormal = std::numeric_limits<float>::denorm_min();

// Values that are hard to round: ties to both sides at 8 fraction bits, zeros, denormals, the bound itself, and noise.
float AwkwardValue(SeededRandom& random, float bound) {
  switch (random.Below(8)) {
    case 0:
      return std::clamp((static_cast<float>(random.Below(64)) - 32 + 0.5F) / 256, -bound, bound);
    case 1:
      return random.Below(2) == 0 ? 0.0F : -0.0F;
    case 2:
      return random.Below(2) == 0 ? kDenormal : -3 * kDenormal;
    case 3:
      return random.Below(2) == 0 ? bound : -bound;
    default:
      return static_cast<float>(UniformUnit(random) * 2 - 1) * bound;
  }
}

struct Outcome {
  bool good;
  SquareLanes squares;
  std::vector<int64_t> sum;
  bool operator==(const Outcome&) const = default;
};

// The definition, value by value.
Outcome Expected(std::span<const float> values, const SumKernel::Terms& terms, Outcome state) {
  for (size_t i = 0; i < values.size(); ++i) {
    const bool within = std::abs(values[i]) <= terms.bound;
    state.good = state.good && within;
    state.squares[i % 16] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
    if (within) state.sum[i] += FixedPointScale{terms.fraction_bits}.ToFixed(values[i]) * terms.weight;
  }
  return state;
}

Outcome Apply(const SumKernel& kernel, std::span<const float> values, const SumKernel::Terms& terms, Outcome state) {
  state.good = kernel.add(values, terms, state.squares, state.sum.data());
  return state;
}

Outcome Fresh(SeededRandom& random, size_t count) {
  Outcome state{true, {}, std::vector<int64_t>(count)};
  for (int64_t& value : state.sum) value = static_cast<int64_t>(random.Next() >> 3) - (int64_t{1} << 60);
  for (double& lane : state.squares) lane = UniformUnit(random);
  return state;
}

constexpr SumKernel::Terms kTerms[] = {
    {1.0F, 8, 1},                   // ties
    {1.0F, 40, 1},                  // the finest scale
    {0.75F, 40, 4'000'000},         // near 2^62
    {1024.0F, 40, 3'000},           // fixed values of 50 bits
    {0x1p21F, 40, 1},               // of 61 bits: the AVX2 kernel hands on to the scalar one
    {0x1p-30F, 40, 0x7'0000'0001},  // a weight of over 32 bits
    {1.0F, 8, -17},                 // undoing
};

TEST(SumKernel, EveryVariantGivesTheScalarBitsForAwkwardLengthsAndAlignments) {
  SeededRandom random(1);
  for (const SumKernel& kernel : SumKernels()) {
    for (const auto& terms : kTerms) {
      for (size_t count : {0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 100, 255, 1023}) {
        for (size_t offset : {0, 1, 3, 15}) {
          std::vector<float> memory(count + offset);
          for (float& value : memory) value = AwkwardValue(random, terms.bound);
          const auto values = std::span(memory).subspan(offset);
          const Outcome before = Fresh(random, count);
          EXPECT_TRUE(Apply(kernel, values, terms, before) == Expected(values, terms, before))
              << kernel.name << ", " << count << " values at " << offset << ", fraction bits " << terms.fraction_bits
              << ", weight " << terms.weight;
        }
      }
    }
  }
}

TEST(SumKernel, RefusesABadValueInAnyPlaceAndAddsNothingForIt) {
  SeededRandom random(2);
  const SumKernel::Terms terms{1.0F, 40, 3};
  for (const SumKernel& kernel : SumKernels()) {
    for (float bad : {kInfinity, -kInfinity, kNan, -kNan, std::nextafter(1.0F, 2.0F), -1.5F, 3e38F}) {
      for (size_t place = 0; place < 37; ++place) {
        std::vector<float> values(37, 0.25F);
        values[place] = bad;
        const Outcome before = Fresh(random, values.size());
        const Outcome after = Apply(kernel, values, terms, before);
        EXPECT_FALSE(after.good) << kernel.name << ", " << bad << " at " << place;
        EXPECT_EQ(after.sum, Expected(values, terms, before).sum) << kernel.name;
      }
    }
  }
}

TEST(SumKernel, TheNegativeWeightUndoesExactly) {
  SeededRandom random(3);
  for (const SumKernel& kernel : SumKernels()) {
    for (auto terms : kTerms) {
      std::vector<float> values(1000);
      for (float& value : values) value = AwkwardValue(random, terms.bound);
      values[500] = kNan;
      values[501] = kInfinity;
      const Outcome before = Fresh(random, values.size());
      Outcome after = Apply(kernel, values, terms, before);
      EXPECT_NE(after.sum, before.sum);
      terms.weight = -terms.weight;
      EXPECT_EQ(Apply(kernel, values, terms, after).sum, before.sum) << kernel.name;
    }
  }
}

TEST(SumKernel, RoundsTiesToEven) {
  for (const SumKernel& kernel : SumKernels()) {
    std::vector<float> values(16, 0);
    const float ties[] = {0.5F, 1.5F, 2.5F, -0.5F, -1.5F, -2.5F, 0.75F, -0.75F};
    for (size_t i = 0; i < 8; ++i) values[i] = ties[i];
    std::vector<int64_t> sum(16);
    SquareLanes squares{};
    EXPECT_TRUE(kernel.add(values, {4.0F, 0, 1}, squares, sum.data()));
    sum.resize(8);
    EXPECT_EQ(sum, (std::vector<int64_t>{0, 2, 2, 0, -2, -2, 1, -1})) << kernel.name;
  }
}

TEST(SumKernel, TheFirstVariantIsTheScalarOne) { EXPECT_EQ(SumKernels().front().name, "scalar"); }

TEST(FloatBound, IsTheLargestFloatWithinTheBound) {
  EXPECT_EQ(FloatBound(1.0), 1.0F);
  EXPECT_EQ(FloatBound(std::nextafter(1.0, 0.0)), std::nextafter(1.0F, 0.0F));
  EXPECT_EQ(FloatBound(std::nextafter(1.0, 2.0)), 1.0F);
  EXPECT_EQ(FloatBound(0.1), std::nextafter(0.1F, 0.0F));  // 0.1F is over 0.1
  EXPECT_EQ(FloatBound(1e300), std::numeric_limits<float>::max());
  EXPECT_EQ(FloatBound(std::numeric_limits<double>::infinity()), std::numeric_limits<float>::max());
  EXPECT_TRUE(std::isnan(FloatBound(kNan)));
}

TEST(Norm, IsTheRootOfTheLanesSum) {
  SquareLanes squares{};
  squares[0] = 9;
  squares[15] = 16;
  EXPECT_EQ(Norm(squares), 5.0);
}

}  // namespace
}  // namespace tributary::sum_kernel_test

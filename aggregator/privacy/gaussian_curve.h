#pragma once

#include "aggregator/privacy/integer_gaussian.h"

namespace tributary {

// (epsilon, delta) of Gaussian noise. A noise multiplier z is the noise's deviation over the sensitivity: the Euclidean
// norm of the most that one device can change what is noised. All functions take z > 0, epsilon >= 0, 0 < delta < 1,
// and round up what they say of epsilon.

// What whole-number noise of this variance is worth at least, as a multiplier: sqrt(sigma^2 - 4) / sensitivity.
// Take real Gaussian noise c of variance sigma^2 - 4, and then a whole number x with probability proportional to
// exp(-(x - c)^2 / 8). By Poisson's summation formula the weights of that choice add up to the same for every c but for
// a factor of 1 +- 2 exp(-8 pi^2) < 1 +- 10^-33, so x has the discrete Gaussian's probabilities but for that factor.
// The choice is post-processing and commutes with whole shifts, so whatever holds for the real noise holds for the
// whole numbers, subsampled or not, with epsilon larger by less than 10^-15 for 10^9 values in 10^6 rounds. Dies of a
// variance below 256, whose proof would cost more than 1 % of the noise.
double MultiplierOf(Variance sigma_squared, double sensitivity);
inline constexpr uint64_t kLeastVariance = 256;
inline constexpr double kLeastMultiplier = 1.0 / 32;

// Rounds with z_1, z_2 … in which a device takes part are together one with z = (z_1^-2 + z_2^-2 + …)^(-1/2): Gaussian
// noise composes exactly (Dong, Roth, Su, "Gaussian Differential Privacy", 2019), also when a device's rounds are
// chosen by what was published before (Smith, Thakurta, "Fully Adaptive Composition for Gaussian Differential Privacy",
// 2022).
double ComposedMultiplier(double multiplier, double times);

// The exact curve (Balle, Wang, "Improving the Gaussian Mechanism", 2018, theorem 8):
//   delta = Phi(1 / (2 z) - epsilon z) - exp(epsilon) Phi(-1 / (2 z) - epsilon z)
double GaussianDelta(double multiplier, double epsilon);
// Infinite for z below kLeastMultiplier, whose epsilon passes 500.
double GaussianEpsilon(double multiplier, double delta);
// The smallest z with GaussianDelta(z, epsilon) <= delta. epsilon > 0.
double GaussianMultiplier(double epsilon, double delta);

// Zero-concentrated differential privacy: rho = 1 / (2 z^2), which adds up. Its epsilon holds for whatever mechanism
// has that rho, and is therefore larger than GaussianEpsilon (Canonne, Kamath, Steinke 2020, proposition 12):
//   epsilon = min over a > 1 of  a rho + ln(1 / (a delta)) / (a - 1) + ln(1 - 1 / a)
double Rho(double multiplier);
double ZcdpEpsilon(double rho, double delta);
double ZcdpRho(double epsilon, double delta);

}  // namespace tributary

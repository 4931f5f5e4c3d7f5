#pragma once

#include <cstdint>
#include <span>

namespace tributary {

// Rounds in which every device is with the probability `inclusion`, by a coin that nobody but the device can see. Only
// then does chance hide a device: a coin that others can compute amplifies nothing.
struct SampledRounds {
  double inclusion = 1;
  double multiplier = 1;  // the noise's deviation over one device's largest contribution
  uint64_t rounds = 1;
};

// The orders at which the accountant looks: 1.1 to 10.9 by 0.1, 11 to 63, 128, 256, 512, 1024, as dp_accounting does.
std::span<const double> RenyiOrders();

// ln E[((1 - q) + q exp((2 x - 1) / (2 z^2)))^order] for x normal with mean 0 and deviation z: (order - 1) times the
// Rényi divergence of the Poisson-sampled Gaussian (Mironov, Talwar, Zhang 2019, equations 2 and 3), for adding and for
// removing a device. By quadrature, so it has no order at which a series fails to converge; rounded up by 10^-8 of it.
// order > 1, 0 < q <= 1, z >= 1/32.
double SampledGaussianLogMoment(double inclusion, double multiplier, double order);
// The divergence itself, of all the rounds.
double RenyiDivergence(const SampledRounds& sampled, double order);

// min over orders of  divergence + ln(1 - 1 / order) - ln(order delta) / (order - 1), at least 0 (Canonne, Kamath,
// Steinke 2020, proposition 12). Both spans have the same length.
double EpsilonOfRenyi(std::span<const double> orders, std::span<const double> divergences, double delta);
// What a device has lost after all of these, at RenyiOrders.
double RenyiEpsilon(std::span<const SampledRounds> sampled, double delta);

}  // namespace tributary

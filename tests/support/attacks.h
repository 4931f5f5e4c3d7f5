#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "protocol/base/random.h"

// Updates as the literature's attackers make them: those who know all benign updates of a round and say whatever is worst.
namespace tributary {

using Delta = std::vector<float>;

// -times * update. Of the attacker's own honest update.
Delta SignFlip(const Delta& own, float times);
// Inner product manipulation (Xie, Koyejo, Gupta 2020): -epsilon * mean of the benign.
Delta InnerProductManipulation(std::span<const Delta> benign, double epsilon);
// "A little is enough" (Baruch et al. 2019): mean - z * standard deviation, of each value.
Delta LittleIsEnough(std::span<const Delta> benign, double z);
// The z with which `hostile` of `devices` stay among the honest majority; at least 0.
double LittleIsEnoughZ(uint64_t devices, uint64_t hostile);
// Min-Max (Shejwalkar, Houmansadr 2021) along the standard deviation: mean - gamma * deviation with the largest gamma for
// which it is no farther from any benign update than two of these are from each other.
double MinMaxGamma(std::span<const Delta> benign);
Delta MinMax(std::span<const Delta> benign);
// Normal noise of this deviation in each value.
Delta Noise(size_t parameters, double deviation, Random& random);
// Mimic (Karimireddy, He, Jaggi 2022): a copy of the benign update that lies farthest along the direction in which they
// differ most (power iteration from the first difference).
Delta Mimic(std::span<const Delta> benign);

}  // namespace tributary

#pragma once

#include <span>

#include "aggregator/privacy/renyi.h"

namespace tributary {

// The tight accountant of sampled rounds: the distribution of the privacy loss ln(P / Q) under P, for a device added
// and for one removed, whichever is worse. Both end up above the truth and close to it:
//  - A round's loss is put on a grid by connecting the dots (Doroshenko, Ghazi, Kamath, Kumar, Manurangsi, "Connect the
//    Dots", 2022): what lies between two grid points goes to both, so that neither P's mass nor Q's changes. What is
//    too far out for the grid counts as an infinite loss.
//  - Rounds are added by the Fourier transform (Koskela, Jälkö, Honkela 2020), in a window outside which a Chernoff
//    bound leaves less than 10^-15 of the mass; that much counts as an infinite loss again.
// The grid has 16 points in a deviation of one round's loss, or fewer when that would be more than 2^21 in all. Takes a
// fraction of a second and up to 100 MB for a while. delta is at least 10^-12. Infinite: no epsilon has this
// delta, or one in the thousands.
double PrivacyLossEpsilon(std::span<const SampledRounds> sampled, double delta);
double PrivacyLossDelta(std::span<const SampledRounds> sampled, double epsilon);

}  // namespace tributary

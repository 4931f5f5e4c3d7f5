#pragma once

#include "aggregator/operator/command/api_client.h"

namespace tributary {

// The contributions of a round, the oddest first, and the same by gateway. `times`: a norm beside the round's median.
struct Outliers {
  Json devices;
  Json gateways;
};
// `items`: as the API lists them. Those that point away from the others come first, then the largest.
Outliers FindOutliers(const Json& items);

}  // namespace tributary

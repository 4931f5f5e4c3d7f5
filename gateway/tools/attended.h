#pragma once

#include <functional>
#include <string>

#include "gateway/options.h"
#include "protocol/base/clock.h"
#include "protocol/base/random.h"

namespace tributary {

// Runs `work` while a gateway holds the data folder: the daemon, or, when none runs, one in this process that listens
// on loopback only and makes no connection upwards. So a tool says the same to both. `endpoint`: where that gateway can
// be reached. Errors: those of Gateway::Open but kLocked, and those of `work`.
Status WithGateway(const GatewayOptions& options, const Clock& clock, Random& random,
                   const std::function<Status(const std::string& endpoint)>& work);

}  // namespace tributary

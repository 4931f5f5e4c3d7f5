#pragma once

#include <string>

#include "aggregator/operator/command/commands.h"
#include "protocol/base/clock.h"

// What the two files of `tributary fleet …` share.
namespace tributary {

inline constexpr Millis kDay{24ll * 3600 * 1000};
// Certificates are valid from this long before they are made: a member whose clock is behind, or is set back, is not
// refused for it.
inline constexpr Millis kClockSlack = kDay;

// As 2026-01-31, in UTC.
std::string DateOf(WallTime time);

// fleet issuer, revoke-issuer
void AddFleetIssuerCommands(CLI::App& fleet, Context& context);

}  // namespace tributary

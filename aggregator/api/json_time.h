#pragma once

#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"

// Times as the API writes them: RFC 3339, in UTC, with milliseconds.
namespace tributary {

// "2026-11-22T10:58:18.123Z".
std::string Rfc3339(WallTime time);
// Of exactly this form. kMalformed.
Result<WallTime> WallTimeOfRfc3339(const std::string& text);

}  // namespace tributary

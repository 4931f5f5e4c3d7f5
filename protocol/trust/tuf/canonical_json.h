#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace tributary::tuf {

// The one text of a value that is signed and hashed (the OLPC's Canonical JSON, as securesystemslib and tuf-js write
// it): no spaces, names in order of code points, only quote and backslash escaped, the rest as UTF-8. The strings hold
// no control characters, so it is JSON as well. Its recursion is as deep as the value.
std::string CanonicalText(const nlohmann::json& value);

}  // namespace tributary::tuf

#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

// JSON as TUF metadata uses it: no fractions, no exponents, every name once in its object.
namespace tributary::tuf {

// Every reader of JSON reads whole numbers up to this one alike (RFC 8259 section 6).
inline constexpr int64_t kLargestNumber = (int64_t{1} << 53) - 1;

// kMalformed: the text is not JSON, a name stands twice in one object, a number is not whole or beyond kLargestNumber,
// a value is nested deeper than 32, or a string holds a control character, which the canonical form could not escape.
// The caller bounds the size of the text.
Result<nlohmann::json> ParseJson(ByteView text);

// The one text of a value that is signed and hashed (the OLPC's Canonical JSON, as securesystemslib and tuf-js write
// it): no spaces, names in order of code points, only quote and backslash escaped, the rest as UTF-8. The strings hold
// no control characters, so it is JSON as well. Its recursion is as deep as the value.
std::string CanonicalText(const nlohmann::json& value);

}  // namespace tributary::tuf

#pragma once

#include <cstdint>

#include <nlohmann/json_fwd.hpp>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

namespace tributary {

// Every reader of JSON reads whole numbers up to this one alike (RFC 8259 section 6).
inline constexpr int64_t kLargestNumber = (int64_t{1} << 53) - 1;

enum class JsonForm : uint8_t {
  kAny,
  kMetadata,  // no fractions or exponents, and no control characters, which TUF's canonical form could not escape
};

// Reads JSON that came from outside. kMalformed: the text is not JSON, a name stands twice in one object, a whole number
// is beyond kLargestNumber, a value is nested deeper than 32, or what `form` does not have. The caller bounds the size of
// the text.
Result<nlohmann::json> ParseJson(ByteView text, JsonForm form);

// The same of any form, with numbers of any size and names in the order of the text. Such an object is searched from its
// beginning for each name, so it has at most kMostOrderedNames of them; kMalformed beyond.
inline constexpr size_t kMostOrderedNames = 512;
Result<nlohmann::ordered_json> ParseOrderedJson(ByteView text);

}  // namespace tributary

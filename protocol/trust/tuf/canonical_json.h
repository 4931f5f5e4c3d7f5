#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

namespace tributary {

// A JSON value as TUF metadata uses them: no fractions, no exponents, every name once. Value type.
class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::map<std::string, Json>;  // ordered by bytes, which for UTF-8 is by code point

  Json() = default;  // null
  Json(bool value) : value_(value) {}
  Json(int value) : value_(int64_t{value}) {}
  Json(int64_t value) : value_(value) {}
  Json(uint64_t value) : value_(static_cast<int64_t>(value)) {}  // at most kLargest
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}

  // Null when it is of another kind.
  template <class T>
  const T* As() const {
    return std::get_if<T>(&value_);
  }
  template <class T>
  T* As() {
    return std::get_if<T>(&value_);
  }
  // A member of an object; null when it is not there, or this is no object.
  const Json* Find(std::string_view name) const;
  bool operator==(const Json&) const = default;

  // Whole numbers up to here are the same to every reader of JSON (RFC 8259 section 6).
  static constexpr int64_t kLargest = (int64_t{1} << 53) - 1;

 private:
  std::variant<std::nullptr_t, bool, int64_t, std::string, Array, Object> value_ = nullptr;
};

// kMalformed: not JSON, a name twice in one object, a number that is not whole or beyond kLargest, nested deeper than
// 32, or a control character in a string, which the canonical form could not tell from its end.
Result<Json> ParseJson(ByteView text);

// The one text of a value that is signed and hashed (the OLPC's Canonical JSON, as securesystemslib and tuf-js write
// it): no spaces, names in order of code points, only quote and backslash escaped, the rest as UTF-8. Since strings
// hold no control characters here, it is JSON as well.
std::string CanonicalText(const Json& value);

}  // namespace tributary

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/trust/tuf/canonical_json.h"

// Members of a JSON object that must be there and of their kind, for the .cc files of this folder. kMalformed names the
// one that is not.
namespace tributary::tuf {

inline Error Malformed(std::string message) { return {Code::kMalformed, std::move(message)}; }

template <class T>
Result<const T*> Member(const Json& from, std::string_view name) {
  const Json* member = from.Find(name);
  const T* value = member == nullptr ? nullptr : member->As<T>();
  if (value == nullptr) return Fail(Malformed(std::string(name) + " is missing or of the wrong kind"));
  return value;
}

Result<std::string> Text(const Json& from, std::string_view name);
Result<std::vector<std::string>> Texts(const Json& from, std::string_view name);
// Not negative.
Result<uint64_t> Count(const Json& from, std::string_view name);
// From 1.
Result<uint64_t> Version(const Json& from);

Json::Array ToArray(const std::vector<std::string>& texts);

}  // namespace tributary::tuf

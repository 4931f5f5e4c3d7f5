#include "protocol/trust/tuf/json_members.h"

namespace tributary::tuf {

Result<std::string> Text(const Json& from, std::string_view name) {
  ASSIGN_OR_RETURN(const std::string* text, Member<std::string>(from, name));
  return *text;
}

Result<std::vector<std::string>> Texts(const Json& from, std::string_view name) {
  ASSIGN_OR_RETURN(const Json::Array* array, Member<Json::Array>(from, name));
  std::vector<std::string> texts;
  for (const Json& one : *array) {
    const auto* text = one.As<std::string>();
    if (text == nullptr) return Fail(Malformed(std::string(name) + " holds something other than text"));
    texts.push_back(*text);
  }
  return texts;
}

Result<uint64_t> Count(const Json& from, std::string_view name) {
  ASSIGN_OR_RETURN(const int64_t* number, Member<int64_t>(from, name));
  if (*number < 0) return Fail(Malformed(std::string(name) + " is negative"));
  return static_cast<uint64_t>(*number);
}

Result<uint64_t> Version(const Json& from) {
  ASSIGN_OR_RETURN(const uint64_t version, Count(from, "version"));
  if (version == 0) return Fail(Malformed("versions begin with 1"));
  return version;
}

Json::Array ToArray(const std::vector<std::string>& texts) { return {texts.begin(), texts.end()}; }

}  // namespace tributary::tuf

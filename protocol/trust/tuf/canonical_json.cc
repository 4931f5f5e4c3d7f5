#include "protocol/trust/tuf/canonical_json.h"

#include <nlohmann/json.hpp>

namespace tributary::tuf {
namespace {

using nlohmann::json;

void WriteText(const std::string& text, std::string& to) {
  to += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') to += '\\';
    to += c;
  }
  to += '"';
}

void Write(const json& value, std::string& to) {
  if (value.is_string()) return WriteText(value.get_ref<const std::string&>(), to);
  if (!value.is_structured()) {
    to += value.dump();  // null, true, false or a whole number
    return;
  }
  to += value.is_object() ? '{' : '[';
  for (auto each = value.begin(); each != value.end(); ++each) {
    if (each != value.begin()) to += ',';
    if (value.is_object()) {
      WriteText(each.key(), to);
      to += ':';
    }
    Write(*each, to);
  }
  to += value.is_object() ? '}' : ']';
}

}  // namespace

std::string CanonicalText(const json& value) {
  std::string text;
  Write(value, text);  // std::map orders names by their bytes, which for UTF-8 is by code point
  return text;
}

}  // namespace tributary::tuf

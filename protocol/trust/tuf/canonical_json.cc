#include "protocol/trust/tuf/canonical_json.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include <nlohmann/json.hpp>

namespace tributary::tuf {
namespace {

using nlohmann::json;

constexpr size_t kMostNested = 32;

bool IsPlain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x20; });
}

// Looks at each value as the parser finds it. After the first fault it keeps nothing that follows.
class Examiner {
 public:
  bool Keeps(int depth, json::parse_event_t event, const json& value) {
    if (fault_.empty()) fault_ = FaultOf(static_cast<size_t>(depth), event, value);
    return fault_.empty();
  }
  const std::string& fault() const { return fault_; }

 private:
  // `depth` counts the objects and arrays that are open. Empty: no fault.
  std::string_view FaultOf(size_t depth, json::parse_event_t event, const json& value) {
    using Event = json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      if (depth == kMostNested) return "it is nested too deeply";
      names_[depth].clear();
    }
    if (event != Event::key && event != Event::value) return {};
    if (value.is_string() && !IsPlain(value.get_ref<const std::string&>())) return "a string holds a control character";
    if (event == Event::key && !names_[depth - 1].insert(value.get<std::string>()).second) {
      return "a name stands twice in one object";
    }
    if (value.is_number_float()) return "a number is not whole";
    const bool large = value.is_number_integer() && (value > kLargestNumber || value < -kLargestNumber);
    return large ? "a number is too large" : "";
  }

  std::array<std::set<std::string>, kMostNested> names_;  // of each open object, by depth
  std::string fault_;
};

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

Result<json> ParseJson(ByteView text) {
  Examiner examiner;
  const auto keeps = [&](int depth, json::parse_event_t event, const json& value) {
    return examiner.Keeps(depth, event, value);
  };
  json parsed = json::parse(text.begin(), text.end(), keeps, /*allow_exceptions=*/false);
  if (!examiner.fault().empty()) return Fail(Code::kMalformed, "not JSON as metadata is written: {}", examiner.fault());
  if (parsed.is_discarded()) return Fail(Code::kMalformed, "the text is not JSON");
  return parsed;
}

std::string CanonicalText(const json& value) {
  std::string text;
  Write(value, text);  // std::map orders names by their bytes, which for UTF-8 is by code point
  return text;
}

}  // namespace tributary::tuf

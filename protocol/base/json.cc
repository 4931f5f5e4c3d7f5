#include "protocol/base/json.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

namespace tributary {
namespace {

using nlohmann::json;

constexpr size_t kMostNested = 32;

bool IsPlain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x20; });
}

// Looks at each value as the parser finds it, and ends the parse at the first fault. It runs before a value is made,
// because nlohmann's own callback costs the square of what an array holds.
class Examiner final : public nlohmann::json_sax<json> {
 public:
  explicit Examiner(JsonForm form) : form_(form) {}
  // Of ParseOrderedJson.
  explicit Examiner(size_t most_names) : most_names_(most_names), any_number_(true) {}
  const std::string& fault() const { return fault_; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t value) override { return Fits(value >= -kLargestNumber); }
  bool number_unsigned(number_unsigned_t value) override { return Fits(value <= uint64_t{kLargestNumber}); }
  bool number_float(number_float_t, const string_t&) override {
    return form_ == JsonForm::kAny || Fault("a number is not whole");
  }
  bool string(string_t& text) override {
    return form_ == JsonForm::kAny || IsPlain(text) || Fault("a string holds a control character");
  }
  bool binary(binary_t&) override { return Fault("the text is not JSON"); }
  bool key(string_t& name) override {
    if (!string(name)) return false;
    auto& names = names_[depth_ - 1];
    if (!names.insert(name).second) return Fault("a name stands twice in one object");
    return names.size() <= most_names_ || Fault("an object has over " + std::to_string(most_names_) + " names");
  }
  bool start_object(size_t) override { return Open(); }
  bool start_array(size_t) override { return Open(); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return Fault("the text is not JSON at byte " + std::to_string(position));
  }

 private:
  bool Fault(std::string fault) {
    fault_ = std::move(fault);
    return false;
  }
  bool Fits(bool fits) { return fits || any_number_ || Fault("a number is too large"); }
  bool Open() {
    if (depth_ == kMostNested) return Fault("it is nested too deeply");
    names_[depth_++].clear();
    return true;
  }
  bool Close() {
    --depth_;
    return true;
  }

  JsonForm form_ = JsonForm::kAny;
  size_t most_names_ = SIZE_MAX;  // of one object
  bool any_number_ = false;
  std::array<std::set<std::string>, kMostNested> names_;  // of each open object, by depth
  size_t depth_ = 0;                                      // objects and arrays that are open
  std::string fault_;
};

}  // namespace

Result<json> ParseJson(ByteView text, JsonForm form) {
  Examiner examiner(form);
  if (!json::sax_parse(text.begin(), text.end(), &examiner)) return Fail(Code::kMalformed, "{}", examiner.fault());
  return json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
}

Result<nlohmann::ordered_json> ParseOrderedJson(ByteView text) {
  Examiner examiner(kMostOrderedNames);
  if (!json::sax_parse(text.begin(), text.end(), &examiner)) return Fail(Code::kMalformed, "{}", examiner.fault());
  return nlohmann::ordered_json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
}

}  // namespace tributary

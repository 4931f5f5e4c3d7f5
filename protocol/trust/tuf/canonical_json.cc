#include "protocol/trust/tuf/canonical_json.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

namespace tributary {
namespace {

constexpr size_t kMostNested = 32;

// Takes what the library's parser finds, value by value; `false` ends the parsing, and error() says why.
class Collector final : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return Add(Json()); }
  bool boolean(bool value) override { return Add(Json(value)); }
  bool number_integer(int64_t value) override {
    return value >= -Json::kLargest ? Add(Json(value)) : Refuse("a number is too large");
  }
  bool number_unsigned(uint64_t value) override {
    return value <= uint64_t{Json::kLargest} ? Add(Json(value)) : Refuse("a number is too large");
  }
  bool number_float(double, const std::string&) override { return Refuse("a number is not whole"); }
  bool string(std::string& value) override { return IsPlain(value) && Add(Json(std::move(value))); }
  bool binary(binary_t&) override { return Refuse("binary"); }
  bool start_object(size_t) override { return Open(Json(Json::Object())); }
  bool key(std::string& name) override {
    names_.back() = std::move(name);
    if (open_.back()->Find(names_.back()) != nullptr) return Refuse("a name stands twice in one object");
    return IsPlain(names_.back());
  }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return Open(Json(Json::Array())); }
  bool end_array() override { return Close(); }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    return Refuse("byte " + std::to_string(position));
  }

  Json TakeRoot() { return std::move(root_); }
  const std::string& error() const { return error_; }

 private:
  bool Refuse(std::string why) {
    if (error_.empty()) error_ = std::move(why);
    return false;
  }
  bool IsPlain(const std::string& text) {
    const bool plain = std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x20; });
    return plain || Refuse("a string holds a control character");
  }
  // Where the next value belongs: a null so far.
  Json* Place() {
    if (open_.empty()) return &root_;
    if (auto* array = open_.back()->As<Json::Array>()) return &array->emplace_back();
    return &(*open_.back()->As<Json::Object>())[names_.back()];
  }
  bool Add(Json value) {
    *Place() = std::move(value);
    return true;
  }
  bool Open(Json container) {
    if (open_.size() == kMostNested) return Refuse("it is nested too deeply");
    Json* place = Place();
    *place = std::move(container);
    open_.push_back(place);
    names_.emplace_back();
    return true;
  }
  bool Close() {
    open_.pop_back();
    names_.pop_back();
    return true;
  }

  Json root_;
  std::vector<Json*> open_;         // a value moves only when one is added behind it, and then it is closed
  std::vector<std::string> names_;  // the member that is being read, of each open object
  std::string error_;
};

void WriteText(const std::string& text, std::string& to) {
  to += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') to += '\\';
    to += c;
  }
  to += '"';
}

void Write(const Json& value, std::string& to);

void WriteArray(const Json::Array& array, std::string& to) {
  to += '[';
  for (size_t i = 0; i < array.size(); ++i) {
    if (i != 0) to += ',';
    Write(array[i], to);
  }
  to += ']';
}

void WriteObject(const Json::Object& object, std::string& to) {
  to += '{';
  bool first = true;
  for (const auto& [name, member] : object) {
    if (!std::exchange(first, false)) to += ',';
    WriteText(name, to);
    to += ':';
    Write(member, to);
  }
  to += '}';
}

void Write(const Json& value, std::string& to) {
  if (const auto* flag = value.As<bool>()) {
    to += *flag ? "true" : "false";
  } else if (const auto* number = value.As<int64_t>()) {
    to += std::to_string(*number);
  } else if (const auto* text = value.As<std::string>()) {
    WriteText(*text, to);
  } else if (const auto* array = value.As<Json::Array>()) {
    WriteArray(*array, to);
  } else if (const auto* object = value.As<Json::Object>()) {
    WriteObject(*object, to);
  } else {
    to += "null";
  }
}

}  // namespace

const Json* Json::Find(std::string_view name) const {
  const auto* object = As<Object>();
  if (object == nullptr) return nullptr;
  const auto found = object->find(std::string(name));
  return found == object->end() ? nullptr : &found->second;
}

Result<Json> ParseJson(ByteView text) {
  Collector collector;
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &collector)) {
    return Fail(Code::kMalformed, "not JSON as metadata is written: " + collector.error());
  }
  return collector.TakeRoot();
}

std::string CanonicalText(const Json& value) {
  std::string text;
  Write(value, text);
  return text;
}

}  // namespace tributary

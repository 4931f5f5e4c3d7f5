#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "protocol/base/result.h"

// What the json_*.cc of this folder share; for them only.
namespace tributary {

using Json = nlohmann::ordered_json;

// What came from outside and is quoted need not be UTF-8.
inline std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// kInvalidArgument: not JSON.
inline Result<Json> ParseBody(std::string_view body) {
  Json json = Json::parse(body, nullptr, false);
  if (json.is_discarded()) return Fail(Code::kInvalidArgument, "the body is not JSON");
  return json;
}

// One object of a request: every key is asked for once, the first problem is kept, a key that nobody asked for is an
// error.
class Fields {
 public:
  Fields(const Json& object, std::string name) : object_(object), name_(std::move(name)) {
    if (!object_.is_object()) Keep(name_.empty() ? "the body" : name_, "must be an object");
  }

  const Json* Find(const std::string& key, bool required = false) {
    known_.insert(key);
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(key);
    if (found != object_.end()) return &*found;
    if (required) Keep(Full(key), "is missing");
    return nullptr;
  }

  void Text(const std::string& key, std::string& out, bool required = false) {
    const Json* value = Find(key, required);
    if (!value) return;
    if (!value->is_string()) return Keep(Full(key), "must be a string");
    out = value->get<std::string>();
  }

  // Bounds are inclusive.
  template <class Integer>
  void Whole(const std::string& key, Integer& out, uint64_t min, uint64_t max, bool required = false) {
    const Json* value = Find(key, required);
    if (!value) return;
    if (!value->is_number_unsigned() || value->get<uint64_t>() < min || value->get<uint64_t>() > max) {
      return Keep(Full(key), "must be an integer between " + std::to_string(min) + " and " + std::to_string(max));
    }
    out = static_cast<Integer>(value->get<uint64_t>());
  }

  void Real(const std::string& key, double& out) {
    const Json* value = Find(key);
    if (!value) return;
    if (!value->is_number()) return Keep(Full(key), "must be a number");
    out = value->get<double>();
  }

  template <class Value>
  void Parsed(const std::string& key, Value& out, Result<Value> (*parse)(std::string_view), bool required = false) {
    std::string text;
    if (!Find(key, required)) return;
    Text(key, text);
    const auto value = parse(text);
    if (!value) return Keep(Full(key), value.error().message);
    out = *value;
  }

  void Keep(const std::string& where, const std::string& why, Code code = Code::kInvalidArgument) {
    if (!problem_) problem_ = Error{code, where + " " + why};
  }

  std::string Full(const std::string& key) const { return name_.empty() ? key : name_ + "." + key; }

  // Takes the first problem of an inner object over, if there is one.
  void Take(Fields&& inner) { Take(inner.Finish()); }
  void Take(const Status& inner) {
    if (!inner && !problem_) problem_ = inner.error();
  }

  Status Finish() {
    if (!problem_ && object_.is_object()) {
      for (const auto& [key, value] : object_.items()) {
        if (!known_.contains(key)) Keep(Full(key), "is not a field that is known here");
      }
    }
    if (problem_) return Fail(*problem_);
    return {};
  }

 private:
  const Json& object_;
  std::string name_;
  std::set<std::string> known_;
  std::optional<Error> problem_;
};

}  // namespace tributary

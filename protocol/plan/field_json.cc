#include "protocol/plan/field_json.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace tributary {
namespace {

using Json = nlohmann::ordered_json;

FieldValue ListOf(const Json& array) {
  std::vector<std::string> list;
  for (const Json& element : array) {
    if (!element.is_string()) return std::monostate();
    list.push_back(element.get<std::string>());
  }
  return list;
}

FieldValue ValueOf(const Json& json) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_unsigned()) return json.get<uint64_t>();
  if (json.is_number_integer()) return json.get<int64_t>();
  if (json.is_number_float()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  return json.is_array() ? ListOf(json) : FieldValue();
}

struct ToJson {
  Json operator()(std::monostate) const { return nullptr; }
  Json operator()(const auto& value) const { return value; }
};

}  // namespace

Json FieldsToJson(std::span<const Field> fields) {
  Json object = Json::object();
  for (const Field& field : fields) object[std::string(field.name)] = std::visit(ToJson(), field.Value());
  return object;
}

Status FieldsFromJson(const Json& object, std::string_view where, std::span<const Field> fields) {
  if (!object.is_object()) return Fail(Code::kInvalidArgument, "{} must be an object", where);
  for (const auto& [name, value] : object.items()) {
    if (std::ranges::find(fields, name, &Field::name) == fields.end())
      return Fail(Code::kInvalidArgument, "{}.{} is not a field that is known here", where, name);
  }
  // In the table's order: a field may be bounded by one before it.
  for (const Field& field : fields) {
    const auto found = object.find(std::string(field.name));
    if (found == object.end()) continue;
    if (const Status set = field.Set(ValueOf(*found)); !set)
      return Fail(set.error().code, "{}.{} {}", where, field.name, set.error().message);
  }
  return {};
}

std::string FieldsToText(std::span<const Field> fields) { return FieldsToJson(fields).dump(); }

Status FieldsFromText(std::string_view text, std::string_view where, std::span<const Field> fields) {
  const Json object = Json::parse(text, nullptr, false);
  if (object.is_discarded()) return Fail(Code::kInvalidArgument, "{} is not JSON", where);
  return FieldsFromJson(object, where, fields);
}

}  // namespace tributary

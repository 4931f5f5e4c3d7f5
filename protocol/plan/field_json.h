#pragma once

#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "protocol/base/field.h"
#include "protocol/base/result.h"

// The fields of a table as a JSON object, one member for each, in the table's order. Real numbers come back with the same
// bits.
namespace tributary {

nlohmann::ordered_json FieldsToJson(std::span<const Field> fields);
// A field that is not there stays as it is. kInvalidArgument: a wrong value, or a member that is no field; the message
// begins with its name, "where.name".
Status FieldsFromJson(const nlohmann::ordered_json& object, std::string_view where, std::span<const Field> fields);

// The same as text.
std::string FieldsToText(std::span<const Field> fields);
Status FieldsFromText(std::string_view text, std::string_view where, std::span<const Field> fields);

}  // namespace tributary

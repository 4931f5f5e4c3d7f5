#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/base/file.h"
#include "protocol/base/result.h"

namespace tributary {

// The numbers that a field may have. Value type; the default holds every number but NaN.
struct Bounds {
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  bool open_below = false;  // `least` itself is out
  bool open_above = false;  // `most` itself is out

  bool Hold(double value) const;
  // "between 1 and 65536", "above 0 and at most 10", "at least 0"; empty when there are none.
  std::string Text() const;
};
constexpr Bounds Between(double least, double most) { return {.least = least, .most = most}; }
constexpr Bounds AboveUpTo(double least, double most) { return {.least = least, .most = most, .open_below = true}; }
constexpr Bounds FromBelow(double least, double most) { return {.least = least, .most = most, .open_above = true}; }

// An enum of one byte whose values are 0, 1, 2 …; Field::names has their names in this order.
struct Choice {
  uint8_t* number;
};
template <class Enum>
Choice ChoiceIn(Enum& place) {
  static_assert(sizeof(Enum) == 1);
  return {reinterpret_cast<uint8_t*>(&place)};
}

// A field's value on its way in or out. A Choice is text. std::monostate: of a kind that no field has.
using FieldValue = std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, std::vector<std::string>>;

// One line of a struct's table: all that is said about one of its fields. Everybody who reads, writes, checks or explains
// the struct goes by its table, so that nothing about a field is written twice. A table is made for one object and
// borrows it: `std::vector<Field> FieldsOf(Plan& plan)`. The default is what a new object has. A line of a table:
//   {"listen.credit_mib", &credit_mib, "chunk bytes under way over all connections", Between(1, 65'536), "MiB"},
struct Field {
  using Place = std::variant<bool*, Choice, uint16_t*, uint32_t*, uint64_t*, int64_t*, double*, std::string*, Path*,
                             std::vector<std::string>*>;
  std::string_view name;
  Place place;
  std::string_view help = {};  // part of a sentence; empty: a former name, which --help does not show
  Bounds bounds = {};
  std::string_view unit = {};
  // The names of a Choice; the only values of a string, when there are any.
  std::span<const std::string_view> names = {};
  // A further bound: at most the value that stands here. The table has that field before this one.
  const uint32_t* at_most = nullptr;
  bool required = false;   // has no default
  bool ignorable = false;  // on the wire: an older device goes on without it

  FieldValue Value() const;
  // Leaves the object as it is when the value is not right. kInvalidArgument, without the field's name: "must be between
  // 1 and 10, not 0", "must be a string".
  Status Set(const FieldValue& value) const;
  // `bounds` with those of the type and of `at_most`.
  Bounds AllBounds() const;
};

// A field without a default.
inline Field Required(std::string_view name, Field::Place place, std::string_view help) {
  return {.name = name, .place = place, .help = help, .required = true};
}
// A Choice, or a string with few values.
inline Field OneOf(std::string_view name, Field::Place place, std::string_view help,
                   std::span<const std::string_view> names) {
  return {.name = name, .place = place, .help = help, .names = names};
}

// Whether the values that the object has are within their bounds. kInvalidArgument: "plan.epochs must be …, not 0" with
// the section "plan".
Status CheckFields(std::span<const Field> fields, std::string_view section = "");

// The part of --help: for each field its name, help, value, unit and bounds; a newline ends each line. With a section
// the names are "section.name".
std::string FieldsManual(std::span<const Field> fields, std::string_view section = "");

std::vector<Field> Joined(std::vector<Field> first, std::vector<Field> second);

}  // namespace tributary

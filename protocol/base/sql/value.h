#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/ids.h"

namespace tributary {

// One cell, exactly as stored: no conversion between the kinds on the way in or out.
using Value = std::variant<std::nullptr_t, int64_t, double, std::string, Bytes>;

// Values for Execute and Query. SQL has no unsigned integer: a uint64_t is stored as the int64_t with the
// same bits and comes back by a cast, so above 2^63 it does not sort.
inline Value ToValue(Value value) { return value; }
inline Value ToValue(std::nullptr_t) { return nullptr; }
template <std::integral Integer>
Value ToValue(Integer value) {
  return static_cast<int64_t>(value);
}
template <class Enum>
requires std::is_enum_v<Enum> Value ToValue(Enum value) { return static_cast<int64_t>(value); }
inline Value ToValue(double value) { return value; }
inline Value ToValue(std::string_view value) { return std::string(value); }
inline Value ToValue(const std::string& value) { return value; }
inline Value ToValue(const char* value) { return std::string(value); }
inline Value ToValue(const Bytes& value) { return value; }
inline Value ToValue(ByteView value) { return ToBytes(value); }
inline Value ToValue(WallTime value) { return value.unix_millis; }
template <IdKind kKind>
Value ToValue(const Name64<kKind>& name) {
  return name.text();
}
template <IdKind kKind, size_t N>
Value ToValue(const FixedId<kKind, N>& id) {
  return ToBytes(id.view());
}
template <class T>
Value ToValue(const std::optional<T>& value) {
  return value ? ToValue(*value) : Value(nullptr);
}

// One line of an answer. Columns are numbered from 0 as the SELECT lists them. The kind of a column is fixed by our own
// schema, so asking for another one is our bug and dies with the names of both kinds. Value type.
class Row {
 public:
  explicit Row(std::vector<Value> cells) : cells_(std::move(cells)) {}
  size_t size() const { return cells_.size(); }
  const Value& operator[](size_t column) const;
  bool IsNull(size_t column) const { return std::holds_alternative<std::nullptr_t>((*this)[column]); }
  int64_t Int(size_t column) const;
  double Real(size_t column) const;
  const std::string& Text(size_t column) const;
  const Bytes& Blob(size_t column) const;

  // The other way of ToValue: a cell as the kind of value that `to` is. kMalformed: no such name or id.
  template <class T>
  Status Get(size_t column, T& to) const {
    if constexpr (std::is_same_v<T, bool>) {
      to = Int(column) != 0;
    } else if constexpr (std::integral<T> || std::is_enum_v<T>) {
      to = static_cast<T>(Int(column));
    } else if constexpr (std::is_same_v<T, double>) {
      to = Real(column);
    } else if constexpr (std::is_same_v<T, std::string>) {
      to = Text(column);
    } else if constexpr (std::is_same_v<T, Bytes>) {
      to = Blob(column);
    } else if constexpr (std::is_same_v<T, WallTime>) {
      to = WallTime{Int(column)};
    } else if constexpr (requires { T::kSize; }) {
      ASSIGN_OR_RETURN(to, T::FromBytes(Blob(column)));
    } else {
      ASSIGN_OR_RETURN(to, T::Parse(Text(column)));
    }
    return {};
  }
  template <class T>
  Status Get(size_t column, std::optional<T>& to) const {
    to.reset();
    return IsNull(column) ? Status() : Get(column, to.emplace());
  }
  // The first cells, one into each of `fields`.
  template <class... Fields>
  Status Into(Fields&... fields) const {
    size_t column = 0;
    Status status;
    (void)((status = Get(column++, fields)).has_value() && ...);
    return status;
  }

 private:
  std::vector<Value> cells_;
};

// For Database::QueryAs: the first cell.
template <class T>
Result<T> FirstCell(const Row& row) {
  T value{};
  RETURN_IF_ERROR(row.Into(value));
  return value;
}

}  // namespace tributary

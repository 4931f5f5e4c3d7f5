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

 private:
  std::vector<Value> cells_;
};

}  // namespace tributary

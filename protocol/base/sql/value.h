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
#include "protocol/base/limits.h"

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

// Whether a number that was read is one of the enum's. An enum with few values that is stored says so beside itself.
constexpr bool IsOneOf(ModelVersion) { return true; }
inline bool IsOneOf(Code code) { return CodeByNumber(static_cast<uint16_t>(code)).has_value(); }

// One line of an answer. Columns are numbered from 0 as the SELECT lists them. A file may be damaged or written by
// somebody else, so no cell is taken for what our schema says: kCorrupt names the column whose cell is of another kind,
// and every other value that `to` cannot have. Value type.
class Row {
 public:
  explicit Row(std::vector<Value> cells) : cells_(std::move(cells)) {}
  size_t size() const { return cells_.size(); }
  const Value& operator[](size_t column) const;
  bool IsNull(size_t column) const { return std::holds_alternative<std::nullptr_t>((*this)[column]); }

  // For tests: another kind dies. What is stored is read with Into and Get.
  int64_t Int(size_t column) const { return Sure<int64_t>(column); }
  double Real(size_t column) const { return Sure<double>(column); }
  const std::string& Text(size_t column) const { return Sure<std::string>(column); }
  const Bytes& Blob(size_t column) const { return Sure<Bytes>(column); }

  // The other way of ToValue: a cell as the kind of value that `to` is. kCorrupt: a number, a time or an enumerator that
  // there is not, a count of 2^63 or more, a text that is not UTF-8, no such name or id. A ByteView shows the row's own
  // bytes.
  template <class T>
  Status Get(size_t column, T& to) const {
    if constexpr (std::is_same_v<T, bool>) {
      ASSIGN_OR_RETURN(const int64_t number, Held<int64_t>(column));
      to = number != 0;
    } else if constexpr (std::integral<T>) {
      ASSIGN_OR_RETURN(const int64_t number, Held<int64_t>(column));
      if (!std::in_range<T>(number)) return FailNumber(column, number);
      to = static_cast<T>(number);
    } else if constexpr (std::is_enum_v<T>) {
      std::underlying_type_t<T> number{};
      RETURN_IF_ERROR(Get(column, number));
      if (!IsOneOf(static_cast<T>(number))) return FailNumber(column, static_cast<int64_t>(number));
      to = static_cast<T>(number);
    } else if constexpr (std::is_same_v<T, double> || std::is_same_v<T, std::string> || std::is_same_v<T, Bytes>) {
      ASSIGN_OR_RETURN(to, Held<T>(column));
    } else if constexpr (std::is_same_v<T, ByteView>) {
      ASSIGN_OR_RETURN(to, BytesOf(column));
    } else if constexpr (std::is_same_v<T, WallTime>) {
      ASSIGN_OR_RETURN(to.unix_millis, Held<int64_t>(column));
      if (!limits::IsTime(to.unix_millis)) return FailNumber(column, to.unix_millis);
    } else if constexpr (requires { T::kSize; }) {
      ASSIGN_OR_RETURN(const Bytes bytes, Held<Bytes>(column));
      return Take(column, T::FromBytes(bytes), to);
    } else {
      ASSIGN_OR_RETURN(const std::string text, Held<std::string>(column));
      return Take(column, T::Parse(text), to);
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
  template <class T>
  const T& Sure(size_t column) const {
    const T* found = std::get_if<T>(&(*this)[column]);
    TRIBUTARY_CHECK(found != nullptr) << "column " << column << " is of another kind";
    return *found;
  }
  Result<ByteView> BytesOf(size_t column) const;
  // A copy of the cell, of this kind: int64_t, double, std::string or Bytes.
  template <class T>
  Result<T> Held(size_t column) const;
  static tl::unexpected<Error> FailNumber(size_t column, int64_t number);
  template <class T>
  static Status Take(size_t column, Result<T> parsed, T& to) {
    if (!parsed) return Fail(Code::kCorrupt, "column {}: {}", column, parsed.error().message);
    to = std::move(*parsed);
    return {};
  }

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

#include "device/examples/field_value.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include <fmt/ranges.h>

namespace tributary {
namespace {

// Calls `with` with a value of the C++ type of `dtype`; a bool is a byte here.
template <class With>
auto WithType(DType dtype, const With& with) {
  switch (dtype) {
    case DType::kInt8:
      return with(int8_t{});
    case DType::kInt16:
      return with(int16_t{});
    case DType::kInt32:
      return with(int32_t{});
    case DType::kInt64:
      return with(int64_t{});
    case DType::kFp32:
      return with(float{});
    case DType::kFp64:
      return with(double{});
    case DType::kBool:
    case DType::kUint8:
      break;
  }
  return with(uint8_t{});
}

template <class T>
void AppendValue(T value, Bytes& to) {
  const size_t at = to.size();
  to.resize(at + sizeof(value));
  std::memcpy(to.data() + at, &value, sizeof(value));
}

tl::unexpected<Error> DoesNotFit(DType dtype, const std::string& value) {
  return Fail(Code::kBadExample, "{} is no {}", value, DTypeName(dtype));
}

}  // namespace

std::string FieldText(const ExampleField& field) {
  std::string text = fmt::format("{}:{}", field.name, DTypeName(field.dtype));
  return field.shape.empty() ? text : text + fmt::format("[{}]", fmt::join(field.shape, ","));
}

Status ParseFieldType(std::string_view text, ExampleField& field) {
  const size_t bracket = std::min(text.find('['), text.size());
  ASSIGN_OR_RETURN(field.dtype, DTypeByName(text.substr(0, bracket)));
  field.shape.clear();
  std::string_view rest = text.substr(bracket);
  if (rest.empty()) return {};
  if (!rest.ends_with(']'))
    return Fail(Code::kInvalidArgument, "the type '{}' does not end with ']'; write FP32[24,2]", text);
  const char* at = rest.data() + 1;
  const char* const end = rest.data() + rest.size() - 1;
  while (at < end) {
    int64_t dimension = 0;
    const auto [next, error] = std::from_chars(at, end, dimension);
    if (error != std::errc() || (next != end && (*next != ',' || next + 1 == end)))
      return Fail(Code::kInvalidArgument, "the shape in '{}' is not a list of numbers; write FP32[24,2]", text);
    field.shape.push_back(dimension);
    at = next == end ? end : next + 1;
  }
  return {};
}

Result<ExampleField> ParseField(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == text.npos) return Fail(Code::kInvalidArgument, "'{}' has no type; write NAME:FP32[24,2]", text);
  ExampleField field{std::string(text.substr(0, colon)), DType::kFp32, {}};
  RETURN_IF_ERROR(ParseFieldType(text.substr(colon + 1), field));
  RETURN_IF_ERROR(CheckExampleField(field));
  return field;
}

Status AppendText(DType dtype, std::string_view text, Bytes& to) {
  if (text.starts_with('+')) text.remove_prefix(1);  // from_chars takes no plus
  const char* const end = text.data() + text.size();
  if (dtype != DType::kFp32 && dtype != DType::kFp64) {
    int64_t whole = 0;
    const auto [next, error] = std::from_chars(text.data(), end, whole);
    if (error == std::errc() && next == end && !text.empty()) return AppendWhole(dtype, whole, to);
  }
  double real = 0;
  const auto [next, error] = std::from_chars(text.data(), end, real);
  if (error != std::errc() || next != end || text.empty())
    return Fail(Code::kBadExample, "'{}' is not a number", text.substr(0, 40));
  return AppendReal(dtype, real, to);
}

Status AppendWhole(DType dtype, int64_t value, Bytes& to) {
  return WithType(dtype, [&](auto type) -> Status {
    using T = decltype(type);
    if constexpr (std::is_integral_v<T>) {
      const int64_t most = dtype == DType::kBool ? 1 : static_cast<int64_t>(std::numeric_limits<T>::max());
      if (value < static_cast<int64_t>(std::numeric_limits<T>::min()) || value > most)
        return DoesNotFit(dtype, fmt::format("{}", value));
    }
    AppendValue(static_cast<T>(value), to);
    return {};
  });
}

Status AppendReal(DType dtype, double value, Bytes& to) {
  if (!std::isfinite(value)) return Fail(Code::kBadExample, "{} is not finite", value);
  return WithType(dtype, [&](auto type) -> Status {
    using T = decltype(type);
    if constexpr (std::is_integral_v<T>) {
      // 2^53 and below stand exactly in a double.
      if (std::abs(value) > 9007199254740992.0 || std::trunc(value) != value)
        return DoesNotFit(dtype, fmt::format("{}", value));
      return AppendWhole(dtype, static_cast<int64_t>(value), to);
    } else {
      if (!std::isfinite(static_cast<T>(value))) return DoesNotFit(dtype, fmt::format("{}", value));
      AppendValue(static_cast<T>(value), to);
      return {};
    }
  });
}

double RealAt(DType dtype, const uint8_t* from) {
  return WithType(dtype, [&](auto value) {
    std::memcpy(&value, from, sizeof(value));
    return static_cast<double>(value);
  });
}

}  // namespace tributary

#pragma once

#include <string>
#include <utility>

#include <fmt/core.h>
#include <tl/expected.hpp>

#include "protocol/base/code.h"

namespace tributary {

// What went wrong: a code from the closed list and the particulars (names, values, the line, the path).
struct Error {
  Code code;
  std::string message;

  // "digest-mismatch: upload 3f… announced 9a…, received 17…"
  std::string ToString() const { return std::string(Name(code)) + ": " + message; }
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> Fail(Code code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}
// Fail(Code::kTooLarge, "{} bytes of {}; the limit is {}", size, name, limit)
template <class First, class... Rest>
tl::unexpected<Error> Fail(Code code, fmt::format_string<First, Rest...> text, First&& first, Rest&&... rest) {
  return Fail(code, fmt::format(text, std::forward<First>(first), std::forward<Rest>(rest)...));
}
inline tl::unexpected<Error> Fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

// Collects the values of a failed check and dies with them. A failed check is our own bug, never a peer's.
class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition);
  [[noreturn]] ~CheckFailure();
  template <class T>
  CheckFailure& operator<<(const T& value) {
    text_ += fmt::format("{}", value);
    return *this;
  }

 private:
  std::string text_;
};

}  // namespace tributary

// The prefix is there because LibTorch defines CHECK as well.
#define TRIBUTARY_CHECK(condition) \
  if (condition) [[likely]] {      \
  } else                           \
    ::tributary::CheckFailure(__FILE__, __LINE__, #condition)

#define TRIBUTARY_JOIN_INNER(a, b) a##b
#define TRIBUTARY_JOIN(a, b) TRIBUTARY_JOIN_INNER(a, b)

// RETURN_IF_ERROR(Step());
#define RETURN_IF_ERROR(expression)                                            \
  do {                                                                         \
    if (auto return_if_error_status = (expression); !return_if_error_status) { \
      return ::tributary::Fail(std::move(return_if_error_status).error());     \
    }                                                                          \
  } while (false)

// ASSIGN_OR_RETURN(auto bytes, ReadFile(path));
#define ASSIGN_OR_RETURN(target, expression) \
  ASSIGN_OR_RETURN_INNER(TRIBUTARY_JOIN(assign_or_return_, __LINE__), target, expression)
#define ASSIGN_OR_RETURN_INNER(temporary, target, expression)             \
  auto temporary = (expression);                                          \
  if (!temporary) return ::tributary::Fail(std::move(temporary).error()); \
  target = std::move(*temporary)

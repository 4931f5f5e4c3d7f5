#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include "protocol/base/file.h"
#include "protocol/base/result.h"

namespace tributary {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// One value of an event. Never a key, token or plaintext: there is no conversion from secret bytes.
struct LogField {
  LogField(std::string_view field_key, std::string_view field_value) : key(field_key), value(field_value) {}
  LogField(std::string_view field_key, const char* field_value) : key(field_key), value(field_value) {}
  template <class Number>
  requires std::is_arithmetic_v<Number> LogField(std::string_view field_key, Number field_value)
      : key(field_key), value(std::to_string(field_value)) {}

  std::string_view key;
  std::string value;
};

// Events are named, not free text, and written as one line for the person on call:
//   2026-11-22T10:58:18.123Z info  upload.custody id=3f… kind=update bytes=861504
// Thread safe. Before StartLog everything goes to standard error at kInfo.
using LogValues = std::initializer_list<LogField>;
void Log(LogLevel level, std::string_view event, LogValues fields = {});
inline void LogDebug(std::string_view event, LogValues fields = {}) { Log(LogLevel::kDebug, event, fields); }
inline void LogInfo(std::string_view event, LogValues fields = {}) { Log(LogLevel::kInfo, event, fields); }
inline void LogWarning(std::string_view event, LogValues fields = {}) { Log(LogLevel::kWarning, event, fields); }
inline void LogError(std::string_view event, LogValues fields = {}) { Log(LogLevel::kError, event, fields); }
// The same with the error's code, message and remedy as fields.
void LogFailure(LogLevel level, std::string_view event, const Error& error, LogValues fields = {});

// To `file`, or to standard error when empty. `level` is one of debug, info, warning, error (kConfigInvalid otherwise).
Status StartLog(std::string_view level, const Path& file);
// For a program that is not ours: each line, without its end, goes to `take`, on the thread on which it comes about, also
// several at once; an empty one takes none. What is logged inside it is dropped. When this returns, the former one runs no
// more. kConflict: called inside it.
using LogTaker = std::function<void(LogLevel level, const std::string& line)>;
Status StartLogTo(LogTaker take, LogLevel level);

}  // namespace tributary

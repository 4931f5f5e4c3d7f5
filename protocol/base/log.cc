#include "protocol/base/log.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <memory>
#include <mutex>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "protocol/base/log_limit.h"
#include "protocol/base/plain_text.h"

namespace tributary {
namespace {

constexpr const char* kPattern = "%Y-%m-%dT%H:%M:%S.%eZ %-7l %v";

std::shared_ptr<spdlog::logger> MakeLogger(spdlog::sink_ptr sink, spdlog::level::level_enum level) {
  auto logger = std::make_shared<spdlog::logger>("tributary", std::move(sink));
  logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(kPattern, spdlog::pattern_time_type::utc));
  logger->set_level(level);
  logger->flush_on(spdlog::level::info);
  return logger;
}

// The process's one log; spdlog's own default logger is what it is kept in.
spdlog::logger& Logger() {
  [[maybe_unused]] static const bool started = [] {
    if (spdlog::default_logger()->name().empty()) {
      spdlog::set_default_logger(MakeLogger(std::make_shared<spdlog::sinks::stderr_sink_mt>(), spdlog::level::info));
    }
    return true;
  }();
  return *spdlog::default_logger_raw();
}

// In the order of LogLevel.
constexpr std::string_view kLevelNames[] = {"debug", "info", "warning", "error"};
constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                 spdlog::level::err};
spdlog::level::level_enum ToSpdlog(LogLevel level) { return kLevels[static_cast<size_t>(level)]; }

// A value with a space, a quote or what does not print is quoted and cleaned, so that a peer's text can never fake a line.
void AppendValue(std::string& line, std::string_view value) {
  if (!value.empty() && value.find_first_of(" \"\\=") == std::string_view::npos && CheckPlainText(value, "")) {
    line += value;
    return;
  }
  line += '"';
  for (const char c : PlainText(value)) {
    if (c == '"' || c == '\\') line += '\\';
    line += c;
  }
  line += '"';
}

std::string Line(std::string_view event, LogValues fields) {
  std::string line(event);
  for (const auto& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    AppendValue(line, field.value);
  }
  return line;
}

std::string_view PeerOf(LogValues fields) {
  constexpr std::string_view kPeers[] = {"member", "device", "gateway", "address", "id"};
  for (const LogField& field : fields) {
    if (std::ranges::find(kPeers, field.key) != std::end(kPeers)) return field.value;
  }
  return {};
}

struct Limiter {
  std::mutex mutex;
  LogLimit limit;  // under the mutex
};
Limiter& TheLimiter() {
  static Limiter limiter;
  return limiter;
}

// Whether the line is written now. What was held back before is told first.
bool Admit(spdlog::logger& logger, std::string_view event, LogValues fields) {
  if (logger.should_log(spdlog::level::debug)) return true;
  const auto now = std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now().time_since_epoch());
  const std::lock_guard lock(TheLimiter().mutex);
  for (const auto& [held_back, lines] : TheLimiter().limit.Due(now)) {
    const std::string note = fmt::format("and {} more like this in the last minute", lines);
    const LogValues values = {{"event", held_back}, {"lines", lines}, {"note", note}};
    logger.log(spdlog::level::warn, spdlog::string_view_t(Line("log.held_back", values)));
  }
  return TheLimiter().limit.Allow(event, PeerOf(fields), now);
}

}  // namespace

void Log(LogLevel level, std::string_view event, LogValues fields) {
  auto& logger = Logger();
  if (!logger.should_log(ToSpdlog(level)) || !Admit(logger, event, fields)) return;
  logger.log(ToSpdlog(level), spdlog::string_view_t(Line(event, fields)));
}

void LogFailure(LogLevel level, std::string_view event, const Error& error, LogValues fields) {
  auto& logger = Logger();
  if (!logger.should_log(ToSpdlog(level)) || !Admit(logger, event, fields)) return;
  const CodeEntry& entry = Describe(error.code);
  const std::string problem = Line("", {{"code", entry.name}, {"why", error.message}, {"remedy", entry.remedy}});
  logger.log(ToSpdlog(level), spdlog::string_view_t(Line(event, fields) + problem));
}

Status StartLog(std::string_view level, const Path& file) {
  const auto* found = std::ranges::find(kLevelNames, level);
  if (found == std::end(kLevelNames))
    return Fail(Code::kConfigInvalid, "log level '{}' is not one of debug, info, warning, error", level);
  try {
    spdlog::sink_ptr sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    if (!file.empty()) sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string());
    spdlog::set_default_logger(MakeLogger(std::move(sink), kLevels[found - std::begin(kLevelNames)]));
    const std::lock_guard lock(TheLimiter().mutex);
    TheLimiter().limit = LogLimit();
  } catch (const spdlog::spdlog_ex& failure) {
    return Fail(Code::kIo, "cannot open the log: {}", failure.what());
  }
  return {};
}

}  // namespace tributary

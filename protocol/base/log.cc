#include "protocol/base/log.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "protocol/base/log_limit.h"
#include "protocol/base/plain_text.h"

namespace tributary {
namespace {

constexpr const char* kPattern = "%Y-%m-%dT%H:%M:%S.%eZ %-7l %v";

std::unique_ptr<spdlog::formatter> Formatter(const std::string& end_of_line = "\n") {
  return std::make_unique<spdlog::pattern_formatter>(kPattern, spdlog::pattern_time_type::utc, end_of_line);
}

std::shared_ptr<spdlog::logger> MakeLogger(spdlog::sink_ptr sink, spdlog::level::level_enum level) {
  auto logger = std::make_shared<spdlog::logger>("tributary", std::move(sink));
  logger->set_level(level);
  logger->flush_on(spdlog::level::info);
  return logger;
}

spdlog::sink_ptr WithFormat(spdlog::sink_ptr sink) {
  sink->set_formatter(Formatter());
  return sink;
}

// The process's one log. Not spdlog's default one, which is the application's where we are a library. Whoever writes holds
// the mutex shared. Never destroyed: a thread may log while the process ends.
struct ProcessLog {
  std::shared_mutex mutex;
  std::shared_ptr<spdlog::logger> logger =
      MakeLogger(WithFormat(std::make_shared<spdlog::sinks::stderr_sink_mt>()), spdlog::level::info);
};
ProcessLog& TheLog() {
  static ProcessLog& log = *new ProcessLog;
  return log;
}
thread_local bool inside_taker = false;

// In the order of LogLevel.
constexpr std::string_view kLevelNames[] = {"debug", "info", "warning", "error"};
constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                 spdlog::level::err};
spdlog::level::level_enum ToSpdlog(LogLevel level) { return kLevels[static_cast<size_t>(level)]; }

class TakerSink final : public spdlog::sinks::sink {
 public:
  explicit TakerSink(LogTaker take) : take_(std::move(take)) {}
  void log(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    {
      const std::lock_guard lock(mutex_);  // a formatter remembers the last second
      formatter_->format(message, line);
    }
    const auto* level = std::ranges::find(kLevels, message.level);
    inside_taker = true;
    take_(static_cast<LogLevel>(level - std::begin(kLevels)), std::string(line.data(), line.size()));
    inside_taker = false;
  }
  void flush() override {}
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

 private:
  const LogTaker take_;
  std::mutex mutex_;
  std::unique_ptr<spdlog::formatter> formatter_ = Formatter("");
};

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

// Whether the line is written now. What was held back before is told first, without the mutex: a taker may wait for others.
bool Admit(spdlog::logger& logger, std::string_view event, LogValues fields) {
  if (logger.should_log(spdlog::level::debug)) return true;
  const auto now = std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now().time_since_epoch());
  std::unique_lock lock(TheLimiter().mutex);
  const auto due = TheLimiter().limit.Due(now);
  const bool allowed = TheLimiter().limit.Allow(event, PeerOf(fields), now);
  lock.unlock();
  for (const auto& [held_back, lines] : due) {
    const std::string note = fmt::format("and {} more like this in the last minute", lines);
    const LogValues values = {{"event", held_back}, {"lines", lines}, {"note", note}};
    logger.log(spdlog::level::warn, spdlog::string_view_t(Line("log.held_back", values)));
  }
  return allowed;
}

}  // namespace

void Log(LogLevel level, std::string_view event, LogValues fields) {
  if (inside_taker) return;
  const std::shared_lock lock(TheLog().mutex);
  auto& logger = *TheLog().logger;
  if (!logger.should_log(ToSpdlog(level)) || !Admit(logger, event, fields)) return;
  logger.log(ToSpdlog(level), spdlog::string_view_t(Line(event, fields)));
}

void LogFailure(LogLevel level, std::string_view event, const Error& error, LogValues fields) {
  if (inside_taker) return;
  const std::shared_lock lock(TheLog().mutex);
  auto& logger = *TheLog().logger;
  if (!logger.should_log(ToSpdlog(level)) || !Admit(logger, event, fields)) return;
  const CodeEntry& entry = Describe(error.code);
  const std::string problem = Line("", {{"code", entry.name}, {"why", error.message}, {"remedy", entry.remedy}});
  logger.log(ToSpdlog(level), spdlog::string_view_t(Line(event, fields) + problem));
}

namespace {

void Use(std::shared_ptr<spdlog::logger> logger) {
  const std::scoped_lock lock(TheLog().mutex, TheLimiter().mutex);
  TheLog().logger = std::move(logger);
  TheLimiter().limit = LogLimit();
}

}  // namespace

Status StartLog(std::string_view level, const Path& file) {
  const auto* found = std::ranges::find(kLevelNames, level);
  if (found == std::end(kLevelNames))
    return Fail(Code::kConfigInvalid, "log level '{}' is not one of debug, info, warning, error", level);
  try {
    spdlog::sink_ptr sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    if (!file.empty()) sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string());
    Use(MakeLogger(WithFormat(std::move(sink)), kLevels[found - std::begin(kLevelNames)]));
  } catch (const spdlog::spdlog_ex& failure) {
    return Fail(Code::kIo, "cannot open the log: {}", failure.what());
  }
  return {};
}

Status StartLogTo(LogTaker take, LogLevel level) {
  if (inside_taker)
    return Fail(Code::kConflict, "the log cannot be given to another one from inside the one that has it");
  Use(take ? MakeLogger(std::make_shared<TakerSink>(std::move(take)), ToSpdlog(level))
           : MakeLogger(nullptr, spdlog::level::off));
  return {};
}

}  // namespace tributary

#include "protocol/base/process/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <iterator>

#include <CLI/CLI.hpp>

namespace tributary {
namespace {

// Through the pipe go signals' numbers, and this at the end.
constexpr char kEnd = 0;

// Where the handler writes to. A handler has no argument of its own; there is one StopSignals at a time.
std::atomic<int> stop_pipe = -1;

// In whichever thread the kernel picks. Blocking the signals instead would not do: a library may have started threads
// before main (OpenBLAS does), and a signal that one of those takes would end the process on the spot.
void OnStopSignal(int signal) {
  const int error = errno;
  const char number = static_cast<char>(signal);
  [[maybe_unused]] const auto wrote = write(stop_pipe, &number, 1);
  errno = error;
}

void Handle(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM}) sigaction(signal, &action, nullptr);
}

}  // namespace

std::variant<DaemonArguments, int> ParseDaemonArguments(int argc, char** argv, const std::string& description,
                                                        const std::string& manual) {
  DaemonArguments arguments;
  CLI::App app(description, description.substr(0, description.find(':')));
  app.add_option("-c,--config", arguments.config, "Configuration file (TOML)")->required();
  app.add_flag("--check-config", arguments.check_config,
               "Check the configuration, print what is wrong with it, and end");
  app.set_version_flag("--version", TRIBUTARY_VERSION);
  app.footer(manual);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? kExitOk : kExitUsage;
  }
  return arguments;
}

int ExitWith(const std::string& program, const Error& error) {
  const CodeEntry& entry = Describe(error.code);
  std::cerr << program << ": " << entry.name << ": " << error.message << "\n  " << entry.remedy << "\n";
  constexpr Code kUsage[] = {Code::kConfigSyntax, Code::kConfigUnknownKey, Code::kConfigInvalid,
                             Code::kInvalidArgument};
  return std::ranges::find(kUsage, error.code) != std::end(kUsage) ? kExitUsage : kExitFailure;
}

void RaiseFileLimit() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= files.rlim_max) return;
  files.rlim_cur = files.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) LogWarning("process.few_files", {{"limit", files.rlim_cur}});
}

void KeepNoCoreDumps() {
  const rlimit none{0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) LogWarning("process.core_dumps_on", {});
}

void EndAtOnce(int signal) {
  LogWarning("process.ended_at_once", {{"signal", signal}});
  _exit(128 + signal);
}

StopSignals::StopSignals(std::function<void()> stop, std::function<void(int)> again) {
  KeepNoCoreDumps();
  signal(SIGPIPE, SIG_IGN);
  TRIBUTARY_CHECK(stop_pipe < 0) << "one StopSignals at a time";
  TRIBUTARY_CHECK(pipe2(pipe_, O_CLOEXEC) == 0) << "pipe: " << std::strerror(errno);
  stop_pipe = pipe_[1];
  thread_ = std::thread([stop = std::move(stop), again = std::move(again), in = pipe_[0]] {
    bool stopped = false;
    for (char what = 0;;) {
      const ssize_t got = read(in, &what, 1);
      if (got < 0 && errno == EINTR) continue;
      if (got != 1 || what == kEnd) return;
      if (stopped) {
        again(what);
      } else {
        stopped = true;
        stop();
      }
    }
  });
  Handle(OnStopSignal);
}

StopSignals::~StopSignals() {
  Handle(SIG_IGN);
  [[maybe_unused]] const auto wrote = write(pipe_[1], &kEnd, 1);
  thread_.join();
  stop_pipe = -1;
  for (const int end : pipe_) close(end);
}

}  // namespace tributary

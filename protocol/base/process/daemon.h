#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <variant>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/log.h"
#include "protocol/base/process/service_notify.h"
#include "protocol/base/random.h"
#include "protocol/base/result.h"

// The common part of the main of every long-running program.
namespace tributary {

// The exit codes of every program. `tributary` has three more, 3 to 5, for scripts (its --help lists them).
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;  // command line or configuration

struct DaemonArguments {
  Path config;
  bool check_config = false;
};

// `--config FILE`, `--check-config`, `--version`, `--help`. `manual` goes below the options in --help. An int: the
// program ends with it (help was printed, or the usage was wrong and has been explained on standard error).
std::variant<DaemonArguments, int> ParseDaemonArguments(int argc, char** argv, const std::string& description,
                                                        const std::string& manual);

// Prints "name: code: message" and the remedy on standard error; returns kExitUsage for configuration errors, else
// kExitFailure.
int ExitWith(const std::string& program, const Error& error);

// While alive: the first SIGINT or SIGTERM calls `stop`, every later one `again` with its number, on a thread of its
// own; SIGPIPE is ignored, and core dumps are off, since they would hold keys. One at a time. After its end the two
// signals are ignored: the process is on its way out.
class StopSignals {
 public:
  StopSignals(std::function<void()> stop, std::function<void(int)> again);
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  int pipe_[2];  // from the handler to the thread
  std::thread thread_;
};

// A core dump would hold keys: none is written by this process from now on, whatever its limits say.
void KeepNoCoreDumps();

// As many open files as the system lets this process have: every connection is one.
void RaiseFileLimit();

// For a second signal: its sender does not want to wait for the work to drain. Everything acknowledged is on disk.
[[noreturn]] void EndAtOnce(int signal);

// The whole main of a daemon. Options has Load, log_level and log_file; Process has Open(options, clock, random,
// files), Run, Stop (which any thread may call; Run then returns within a bound) and executor(), whose work Run's
// thread does: the service manager is told that the process is ready, and keeps being told that it is alive, from
// there.
template <class Process, class Options>
int RunDaemon(int argc, char** argv, const std::string& program, const std::string& description,
              const std::string& manual) {
  const auto parsed = ParseDaemonArguments(argc, argv, description, manual);
  if (const int* code = std::get_if<int>(&parsed)) return *code;
  const auto& arguments = std::get<DaemonArguments>(parsed);
  const auto options = Options::Load(arguments.config);
  if (!options) return ExitWith(program, options.error());
  if (arguments.check_config) return kExitOk;
  if (const Status log = StartLog(options->log_level, options->log_file); !log) return ExitWith(program, log.error());

  SystemClock clock;
  SystemRandom random;
  const ServiceNotify notify = ServiceNotify::FromEnvironment();
  RaiseFileLimit();
  // The signals come before Open, which starts threads; one that arrives during Open ends the program after it.
  std::atomic<Process*> running = nullptr;
  std::atomic<bool> asked = false;
  StopSignals signals(
      [&] {
        asked = true;
        notify.Stopping("finishing what is under way");
        if (Process* process = running) process->Stop();
      },
      EndAtOnce);
  auto process = Process::Open(*options, clock, random, RealFileSystem());
  if (!process) {
    LogFailure(LogLevel::kError, "process.failed", process.error());
    return ExitWith(program, process.error());
  }
  Executor& executor = (*process)->executor();
  executor.Post([&notify] { notify.Ready("running"); });
  running = process->get();
  if (!asked) {
    const ServiceHeartbeat heartbeat(notify, executor);
    (*process)->Run();
  }
  running = nullptr;
  return kExitOk;
}

}  // namespace tributary

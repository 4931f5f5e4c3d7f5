#include "protocol/base/daemon.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include <iostream>

#include <CLI/CLI.hpp>

namespace tributary {
namespace {

// Ends the waiting thread; blocked everywhere else, so nobody but that thread ever sees it.
constexpr int kEndSignal = SIGUSR2;

sigset_t StopSet() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGINT, SIGTERM, kEndSignal}) sigaddset(&set, signal);
  return set;
}

}  // namespace

std::variant<DaemonArguments, int> ParseDaemonArguments(int argc, char** argv, const std::string& description,
                                                        const std::string& manual) {
  DaemonArguments arguments;
  CLI::App app(description);
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
  switch (error.code) {
    case Code::kConfigSyntax:
    case Code::kConfigUnknownKey:
    case Code::kConfigInvalid:
    case Code::kInvalidArgument:
      return kExitUsage;
    default:
      return kExitFailure;
  }
}

StopSignals::StopSignals(std::function<void()> stop) {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  signal(SIGPIPE, SIG_IGN);
  const sigset_t set = StopSet();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  thread_ = std::thread([stop = std::move(stop), set] {
    bool stopped = false;
    for (;;) {
      int signal = 0;
      if (sigwait(&set, &signal) != 0 || signal == kEndSignal) return;
      if (!stopped) stop();
      stopped = true;
    }
  });
}

StopSignals::~StopSignals() {
  pthread_kill(thread_.native_handle(), kEndSignal);
  thread_.join();
}

}  // namespace tributary

#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/result.h"

namespace tributary {

// A program that this one started. It has a process group of its own, so that Ctrl-C on the terminal reaches only the
// parent, which then ends its children in order; it dies with the thread that started it (PR_SET_PDEATHSIG), so none is
// left behind even after a SIGKILL of the parent. The destructor ends and reaps it. Resource type, not thread safe.
class ChildProcess {
 public:
  struct Spec {
    std::vector<std::string> argv;  // argv[0]: a path, or a name looked up in PATH
    Path log{};                     // standard output and error are appended; empty: they stay the parent's
    Path folder{};                  // to run in; empty: the parent's
  };
  // kChildFailed: the program cannot be started, with the reason.
  static Result<ChildProcess> Start(const Spec& spec);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess();

  pid_t pid() const { return pid_; }
  // Its exit code once it has ended, 128 + the signal when one ended it; nullopt while it runs. Reaps it.
  std::optional<int> Poll();
  // The same, waiting up to `bound`.
  std::optional<int> WaitFor(Millis bound);
  // Waits without a bound.
  int Wait();
  // SIGTERM to its process group, SIGKILL to what is left after `bound`. Returns its exit code.
  int Terminate(Millis bound);
  void Signal(int signal);

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}
  pid_t pid_ = -1;  // -1: moved from
  std::optional<int> exit_code_;
};

// The program of that name beside this one's executable, else the first in PATH. kNotFound says where it was looked
// for.
Result<Path> FindProgram(const std::string& name);

}  // namespace tributary

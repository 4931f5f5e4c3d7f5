#include "aggregator/operator/command/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <thread>
#include <utility>

namespace tributary {
namespace {

constexpr int kStep = 5;  // milliseconds between looks at a child that is waited for with a bound

// The child runs this between fork and exec: only async-signal-safe calls. When a call fails, its errno goes up the
// pipe, which exec closes.
[[noreturn]] void RunChild(char* const* argv, const char* log, const char* folder, pid_t parent, int report) {
  const auto fail = [report] {
    const int error = errno;
    (void)!write(report, &error, sizeof(error));
    _exit(127);
  };
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // the parent died before the line above
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  if (*log) {
    const int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (out < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0) fail();
    const int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (in < 0 || dup2(in, STDIN_FILENO) < 0) fail();
  }
  if (*folder && chdir(folder) != 0) fail();
  execvp(argv[0], argv);
  fail();
  _exit(127);
}

int EndCode(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

}  // namespace

Result<ChildProcess> ChildProcess::Start(const Spec& spec) {
  TRIBUTARY_CHECK(!spec.argv.empty()) << "no program";
  std::vector<std::string> words = spec.argv;
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Fail(Code::kChildFailed, "pipe: {}", std::strerror(errno));
  const Descriptor report(ends[0]);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) RunChild(argv.data(), spec.log.c_str(), spec.folder.c_str(), parent, ends[1]);
  const int fork_error = errno;
  close(ends[1]);
  if (child < 0) return Fail(Code::kChildFailed, "fork: {}", std::strerror(fork_error));
  setpgid(child, child);  // parent and child both do it: it holds whichever runs first
  int error = 0;
  ssize_t got = 0;
  while ((got = read(report.get(), &error, sizeof(error))) < 0 && errno == EINTR) {
  }
  ChildProcess process(child);
  if (got == sizeof(error)) {
    process.Wait();
    return Fail(Code::kChildFailed, "cannot start {}: {}", spec.argv[0], std::strerror(error));
  }
  return process;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), exit_code_(other.exit_code_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(exit_code_, other.exit_code_);
  return *this;
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) Terminate(Millis(2'000));
}

std::optional<int> ChildProcess::Poll() {
  if (exit_code_ || pid_ <= 0) return exit_code_;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_) exit_code_ = EndCode(status);
  return exit_code_;
}

std::optional<int> ChildProcess::WaitFor(Millis bound) {
  const auto end = std::chrono::steady_clock::now() + bound;
  while (!Poll() && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(kStep));
  return exit_code_;
}

int ChildProcess::Wait() {
  TRIBUTARY_CHECK(pid_ > 0) << "waiting for no child";
  int status = 0;
  while (!exit_code_) {
    if (waitpid(pid_, &status, 0) == pid_) exit_code_ = EndCode(status);
  }
  return *exit_code_;
}

void ChildProcess::Signal(int signal) {
  if (!Poll() && pid_ > 0) kill(-pid_, signal);
}

int ChildProcess::Terminate(Millis bound) {
  Signal(SIGTERM);
  if (const auto code = WaitFor(bound)) {
    kill(-pid_, SIGKILL);  // its own children, if it left any behind
    return *code;
  }
  Signal(SIGKILL);
  return Wait();
}

Result<Path> FindProgram(const std::string& name) {
  std::error_code error;
  const Path own = std::filesystem::read_symlink("/proc/self/exe", error);
  std::vector<Path> folders;
  if (!error) folders.push_back(own.parent_path());
  const char* search = std::getenv("PATH");
  std::istringstream list(search ? search : "");
  for (std::string folder; std::getline(list, folder, ':');) folders.emplace_back(folder);
  for (const auto& folder : folders) {
    if (access((folder / name).c_str(), X_OK) == 0) return folder / name;
  }
  return Fail(Code::kNotFound, "there is no {} beside {} or in PATH", name, own.string());
}

}  // namespace tributary

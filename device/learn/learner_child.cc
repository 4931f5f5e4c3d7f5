#include "device/learn/learner_child.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <utility>

#include "device/learn/learner.h"

namespace tributary {
namespace {

constexpr int kSocket = 3;       // the learner's end, in the learner
constexpr int kFirstSpare = 10;  // below: 0 to 3, which the child sets up
constexpr rlim_t kOpenFiles = 256;
constexpr size_t kLastWords = 2'000;
constexpr size_t kLastWordsTold = 300;
constexpr int kNotStarted = 127;

// A learner sees nothing else of the agent's environment.
constexpr auto kPassedOn = std::to_array<const char*>(
    {"PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "ATEN_CPU_CAPABILITY", "OPENBLAS_CORETYPE",
     "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"});

std::vector<std::string> Environment(const LearnerLimits& limits) {
  std::vector<std::string> environment;
  for (const char* name : kPassedOn) {
    if (const char* value = std::getenv(name)) environment.push_back(std::string(name) + "=" + value);
  }
  for (const std::string name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"})
    environment.push_back(name + "=" + std::to_string(limits.cores));
  return environment;
}

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Out of the way of the descriptors that the child sets up. -1 stays -1.
Descriptor Spare(int descriptor) {
  if (descriptor < 0) return Descriptor(-1);
  const Descriptor original(descriptor);
  return Descriptor(fcntl(descriptor, F_DUPFD_CLOEXEC, kFirstSpare));
}

// Everything that the child needs between fork and exec, where only async-signal-safe calls are allowed.
struct Preparation {
  char* const* argv;
  char* const* environment;
  LearnerLimits limits;
  int socket, log, null, rules;
  sock_fprog calls;
  pid_t parent;
};

void Limit(__rlimit_resource resource, rlim_t soft, rlim_t hard) {
  const rlimit limit{soft, hard};
  setrlimit(resource, &limit);
}

// When memory is short the kernel ends the learner, and not the device or the application around it.
void BeEndedFirst() {
  const int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file >= 0) (void)!write(file, "1000", 4);
}

// The system calls of another architecture (32-bit ones through int 0x80) have other numbers.
#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "name this processor's AUDIT_ARCH_ here"
#endif
constexpr uint32_t kNewerCalls = 451;  // than Linux 6.1's; x32 has its own above them

// A process group is how all that a learner starts is found again, so nobody leaves it. Landlock takes care of files,
// but not of their modes, owners, times and attributes, nor, before Linux 6.2, of their lengths.
constexpr auto kRefused =
    std::to_array<uint32_t>({SYS_setsid,       SYS_setpgid,   SYS_truncate,       SYS_fchmod,
                             SYS_fchmodat,     SYS_fchown,    SYS_fchownat,       SYS_setxattr,
                             SYS_lsetxattr,    SYS_fsetxattr, SYS_removexattr,    SYS_lremovexattr,
                             SYS_fremovexattr, SYS_utimensat, SYS_io_uring_setup, SYS_open_by_handle_at,
#ifdef SYS_open  // of x86-64
                             SYS_chmod,        SYS_chown,     SYS_lchown,         SYS_utime,
                             SYS_utimes,       SYS_futimesat
#endif
    });

struct OpenCall {
  uint32_t number, flags;  // flags: which argument they are
};
constexpr auto kOpens = std::to_array<OpenCall>({{SYS_openat, 2},
#ifdef SYS_open
                                                 {SYS_open, 1}
#endif
});

// The filter holds for the children of the process too.
std::vector<sock_filter> CallFilter() {
  std::vector<sock_filter> filter;
  const auto add = [&](int code, uint32_t value, uint8_t yes = 0, uint8_t no = 0) {
    filter.push_back({static_cast<uint16_t>(code), yes, no, value});
  };
  constexpr int kLoad = BPF_LD | BPF_W | BPF_ABS, kIs = BPF_JMP | BPF_JEQ | BPF_K, kEnd = BPF_RET | BPF_K;
  add(kLoad, offsetof(seccomp_data, arch));
  add(kIs, kArchitecture, 1, 0);
  add(kEnd, SECCOMP_RET_KILL_PROCESS);
  add(kLoad, offsetof(seccomp_data, nr));
  // Its flags lie in memory, where a filter cannot look; who gets this answer uses openat.
  add(kIs, SYS_openat2, 1, 0);
  add(BPF_JMP | BPF_JGE | BPF_K, kNewerCalls, 0, 1);
  add(kEnd, SECCOMP_RET_ERRNO | ENOSYS);
  for (const uint32_t call : kRefused) {
    add(kIs, call, 0, 1);
    add(kEnd, SECCOMP_RET_ERRNO | EPERM);
  }
  // Its own limits, which are process 0, and no other process's.
  add(kIs, SYS_prlimit64, 0, 4);
  add(kLoad, static_cast<uint32_t>(offsetof(seccomp_data, args)));
  add(kIs, 0, 1, 0);
  add(kEnd, SECCOMP_RET_ERRNO | EPERM);
  add(kEnd, SECCOMP_RET_ALLOW);
  // To open a file to read it may still make it empty.
  for (const OpenCall& call : kOpens) {
    add(kIs, call.number, 0, 7);
    add(kLoad, static_cast<uint32_t>(offsetof(seccomp_data, args) + 8 * call.flags));
    add(BPF_JMP | BPF_JSET | BPF_K, O_TRUNC, 0, 4);
    add(BPF_ALU | BPF_AND | BPF_K, O_ACCMODE);
    add(kIs, O_WRONLY, 2, 0);
    add(kIs, O_RDWR, 1, 0);
    add(kEnd, SECCOMP_RET_ERRNO | EPERM);
    add(kEnd, SECCOMP_RET_ALLOW);
  }
  add(kEnd, SECCOMP_RET_ALLOW);
  return filter;
}

// Landlock's rules for a process that makes, removes and renames no file and writes to none but /dev/null, which many
// programs open. Below zero: this kernel has no Landlock.
Descriptor FileRules(int null) {
  const landlock_ruleset_attr refused{LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                                      LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                                      LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                                      LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                                      LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM};
  Descriptor rules = Spare(static_cast<int>(syscall(SYS_landlock_create_ruleset, &refused, sizeof(refused), 0)));
  const landlock_path_beneath_attr may{LANDLOCK_ACCESS_FS_WRITE_FILE, null};
  if (rules.get() >= 0) syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &may, 0);
  return rules;
}

bool GiveUpRights(const Preparation& with) {
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         (with.rules < 0 || syscall(SYS_landlock_restrict_self, with.rules, 0) == 0) &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &with.calls) == 0;
}

// Ends as the learner did.
[[noreturn]] void EndAs(int status) {
  if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
  signal(WTERMSIG(status), SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  kill(getpid(), WTERMSIG(status));
  _exit(kNotStarted);
}

constexpr int kAgentDied = SIGTERM;

// The learner's parent: it leads the process group, and ends it when the agent dies, however that dies. The kernel
// would tell the learner alone (PR_SET_PDEATHSIG), and not those that it has started.
[[noreturn]] void Keep(pid_t learner, const sigset_t& all) {
  close_range(0, ~0U, 0);
  while (true) {
    int number = 0, status = 0;
    if (sigwait(&all, &number) == 0 && number == kAgentDied) kill(0, SIGKILL);
    if (waitpid(learner, &status, WNOHANG) == learner) EndAs(status);
  }
}

[[noreturn]] void RunChild(const Preparation& with) {
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  signal(SIGCHLD, SIG_DFL);
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, kAgentDied);
  if (getppid() != with.parent) _exit(kNotStarted);  // the parent died before the line above
  Limit(RLIMIT_CORE, 0, 0);
  const pid_t keeper = getpid();
  const pid_t learner = _Fork();
  if (learner < 0) _exit(kNotStarted);
  if (learner > 0) Keep(learner, all);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != keeper) _exit(kNotStarted);
  BeEndedFirst();
  for (const int signal_number : {SIGPIPE, SIGINT, SIGTERM}) signal(signal_number, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const bool placed = dup2(with.null, STDIN_FILENO) >= 0 && dup2(with.log, STDOUT_FILENO) >= 0 &&
                      dup2(with.log, STDERR_FILENO) >= 0 && dup2(with.socket, kSocket) >= 0;
  if (!placed || !GiveUpRights(with) || close_range(kSocket + 1, ~0U, 0) != 0) _exit(kNotStarted);
  (void)!nice(with.limits.niceness);
  const auto seconds = static_cast<rlim_t>(with.limits.wall.count() / 1000 + 1) * with.limits.cores;
  Limit(RLIMIT_CPU, seconds, seconds + 5);
  Limit(RLIMIT_NOFILE, kOpenFiles, kOpenFiles);
  Limit(RLIMIT_FSIZE, 0, 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // whose address space is terabytes
  Limit(RLIMIT_AS, with.limits.memory_bytes, with.limits.memory_bytes);
#endif
  execve(with.argv[0], with.argv, with.environment);
  const char text[] = "it cannot be started: ";
  const char* reason = strerrordesc_np(errno);
  (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
  (void)!write(STDERR_FILENO, reason, std::strlen(reason));
  _exit(kNotStarted);
}

Result<std::string> FindCommand(const std::string& name) {
  std::vector<Path> places;
  if (name.find('/') != std::string::npos) {
    places.emplace_back(name);
  } else {
    const char* search = std::getenv("PATH");
    std::istringstream list(search ? search : "");
    for (std::string folder; std::getline(list, folder, ':');) places.push_back(Path(folder) / name);
  }
  for (const Path& place : places) {
    if (access(place.c_str(), X_OK) == 0) return place.string();
  }
  return Fail(Code::kChildFailed, "there is no program {} that can be run; learner.command names the learner", name);
}

}  // namespace

bool KeepsFilesSafe() { return syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0; }

Path ProgramBeside(const std::string& name) {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / name;
}

LearnerChild::LearnerChild(pid_t pid, Descriptor process, Descriptor socket, Descriptor log)
    : pid_(pid), process_(std::move(process)), socket_(std::move(socket)), log_(std::move(log)) {}

LearnerChild::LearnerChild(LearnerChild&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      process_(std::move(other.process_)),
      socket_(std::move(other.socket_)),
      log_(std::move(other.log_)),
      last_words_(std::move(other.last_words_)),
      forced_(other.forced_),
      status_(other.status_) {}

LearnerChild::~LearnerChild() { End(Millis(0)); }

Result<LearnerChild> LearnerChild::Start(const std::vector<std::string>& command, const LearnerLimits& limits) {
  TRIBUTARY_CHECK(!command.empty()) << "no command";
  std::vector<std::string> words = command;
  ASSIGN_OR_RETURN(words[0], FindCommand(command[0]));
  std::vector<std::string> environment = Environment(limits);
  const auto argv = Pointers(words);
  const auto environment_pointers = Pointers(environment);

  int pair[2] = {-1, -1}, log[2] = {-1, -1};
  const bool made = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0 && pipe2(log, O_CLOEXEC) == 0;
  Descriptor ours = Spare(pair[0]), theirs = Spare(pair[1]), log_out = Spare(log[0]), log_in = Spare(log[1]);
  const Descriptor null = Spare(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!made || ours.get() < 0 || theirs.get() < 0 || log_out.get() < 0 || log_in.get() < 0 || null.get() < 0)
    return Fail(Code::kChildFailed, "no sockets for a learner: {}", std::strerror(errno));
  fcntl(log_out.get(), F_SETFL, O_NONBLOCK);

  const Descriptor rules = FileRules(null.get());
  std::vector<sock_filter> calls = CallFilter();
  const Preparation with{argv.data(),  environment_pointers.data(),
                         limits,       theirs.get(),
                         log_in.get(), null.get(),
                         rules.get(),  {static_cast<uint16_t>(calls.size()), calls.data()},
                         getpid()};
  const pid_t pid = fork();
  if (pid == 0) RunChild(with);
  if (pid < 0) return Fail(Code::kChildFailed, "a learner cannot be started: {}", std::strerror(errno));
  setpgid(pid, pid);  // parent and child both do it: it holds whichever runs first
  LearnerChild child(pid, Descriptor(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))), std::move(ours),
                     std::move(log_out));
  if (child.process_.get() < 0)
    return Fail(Code::kChildFailed, "a learner cannot be watched: {}", std::strerror(errno));
  return child;
}

void LearnerChild::ReadLog() {
  std::array<char, 4096> piece;
  ssize_t got = 0;
  while ((got = read(log_.get(), piece.data(), piece.size())) > 0) {
    last_words_.append(piece.data(), static_cast<size_t>(got));
    if (last_words_.size() > kLastWords) last_words_.erase(0, last_words_.size() - kLastWords);
  }
}

bool LearnerChild::HasEnded() const {
  pollfd look{process_.get(), POLLIN, 0};
  return poll(&look, 1, 0) > 0;
}

void LearnerChild::End(Millis grace) {
  if (pid_ < 0) return;
  pollfd look{process_.get(), POLLIN, 0};
  const auto end = std::chrono::steady_clock::now() + grace;
  bool ended = false;
  // Its log is read on, or it may wait for that and not end.
  for (Millis left = grace; !ended && left.count() >= 0;) {
    ended = poll(&look, 1, static_cast<int>(std::min(left, Millis(20)).count())) > 0;
    ReadLog();
    const auto now = std::chrono::steady_clock::now();
    if (!ended && now >= end) break;
    left = std::chrono::duration_cast<Millis>(end - now);
  }
  forced_ = !ended;
  kill(-pid_, SIGKILL);  // it is not reaped yet, so that the number still is its group's; what it started ends too
  while (waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
  }
  ReadLog();
  pid_ = -1;
}

Error LearnerChild::WhyItEnded() const {
  std::string words = last_words_;
  while (!words.empty() && words.back() == '\n') words.pop_back();
  if (words.size() > kLastWordsTold) words = "…" + words.substr(words.size() - kLastWordsTold);
  const std::string said = words.empty() ? "" : "; its last words: " + words;
  const Code crashed = SpeaksOfMemory(last_words_) ? Code::kLearnerMemory : Code::kLearnerCrashed;
  if (forced_) {
    // One that is short of memory may take a while to end.
    return {crashed == Code::kLearnerMemory ? crashed : Code::kLearnerProtocol,
            "the learner closed its end before it had answered, and went on" + said};
  }
  if (!WIFSIGNALED(status_)) {
    return {crashed,
            fmt::format("the learner ended with exit code {} before it had answered{}", WEXITSTATUS(status_), said)};
  }
  const int number = WTERMSIG(status_);
  const char* name = sigabbrev_np(number);
  const std::string ended = fmt::format("the learner was ended by SIG{}", name ? name : std::to_string(number));
  if (number == SIGXCPU)
    return {Code::kLearnerTimeout, ended + ": it had used all the processor time that it may" + said};
  if (number == SIGKILL) return {Code::kLearnerMemory, ended + ", as the kernel does when memory is short" + said};
  if (number == SIGSYS) return {Code::kLearnerCrashed, ended + ": it asked the kernel for what no model may do" + said};
  if (number == SIGXFSZ) return {Code::kLearnerCrashed, ended + ": it wrote to a file, which no learner may" + said};
  return {crashed, ended + said};
}

}  // namespace tributary

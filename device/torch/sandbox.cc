#include "device/torch/sandbox.h"

#include <seccomp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <vector>

#include "device/torch/model.h"
#include "device/torch/torch_learner.h"
#include "protocol/base/limits.h"

namespace tributary {
namespace {

// Memory, time, waiting for threads that are there, and the end.
constexpr std::initializer_list<int> kAllowed = {SCMP_SYS(read),
                                                 SCMP_SYS(write),
                                                 SCMP_SYS(readv),
                                                 SCMP_SYS(writev),
                                                 SCMP_SYS(recvfrom),
                                                 SCMP_SYS(sendto),
                                                 SCMP_SYS(recvmsg),
                                                 SCMP_SYS(sendmsg),
                                                 SCMP_SYS(poll),
                                                 SCMP_SYS(ppoll),
                                                 SCMP_SYS(close),
                                                 SCMP_SYS(lseek),
                                                 SCMP_SYS(fstat),
                                                 SCMP_SYS(munmap),
                                                 SCMP_SYS(mremap),
                                                 SCMP_SYS(madvise),
                                                 SCMP_SYS(brk),
                                                 SCMP_SYS(futex),
                                                 SCMP_SYS(clock_gettime),
                                                 SCMP_SYS(clock_getres),
                                                 SCMP_SYS(clock_nanosleep),
                                                 SCMP_SYS(nanosleep),
                                                 SCMP_SYS(gettimeofday),
                                                 SCMP_SYS(time),
                                                 SCMP_SYS(getrandom),
                                                 SCMP_SYS(getrusage),
                                                 SCMP_SYS(sched_yield),
                                                 SCMP_SYS(sched_getaffinity),
                                                 SCMP_SYS(getcpu),
                                                 SCMP_SYS(getpid),
                                                 SCMP_SYS(gettid),
                                                 SCMP_SYS(getuid),
                                                 SCMP_SYS(geteuid),
                                                 SCMP_SYS(pread64),
                                                 SCMP_SYS(pwrite64),
                                                 SCMP_SYS(rt_sigprocmask),
                                                 SCMP_SYS(rt_sigaction),
                                                 SCMP_SYS(rt_sigreturn),
                                                 SCMP_SYS(sigaltstack),
                                                 SCMP_SYS(restart_syscall),
                                                 SCMP_SYS(exit),
                                                 SCMP_SYS(exit_group),
                                                 SCMP_SYS(rseq),
                                                 SCMP_SYS(set_robust_list),
                                                 SCMP_SYS(sysinfo),
                                                 SCMP_SYS(uname)};
// Libraries look at files that need not be there, and ask for what they can do without.
constexpr std::initializer_list<int> kRefused = {SCMP_SYS(open),
                                                 SCMP_SYS(openat),
                                                 SCMP_SYS(openat2),
                                                 SCMP_SYS(creat),
                                                 SCMP_SYS(access),
                                                 SCMP_SYS(faccessat),
                                                 SCMP_SYS(faccessat2),
                                                 SCMP_SYS(stat),
                                                 SCMP_SYS(lstat),
                                                 SCMP_SYS(newfstatat),
                                                 SCMP_SYS(statx),
                                                 SCMP_SYS(readlink),
                                                 SCMP_SYS(readlinkat),
                                                 SCMP_SYS(getcwd),
                                                 SCMP_SYS(getdents64),
                                                 SCMP_SYS(statfs),
                                                 SCMP_SYS(fstatfs),
                                                 SCMP_SYS(unlink),
                                                 SCMP_SYS(unlinkat),
                                                 SCMP_SYS(mkdir),
                                                 SCMP_SYS(mkdirat),
                                                 SCMP_SYS(rename),
                                                 SCMP_SYS(renameat),
                                                 SCMP_SYS(renameat2),
                                                 SCMP_SYS(ftruncate),
                                                 SCMP_SYS(truncate),
                                                 SCMP_SYS(ioctl),
                                                 SCMP_SYS(fcntl),
                                                 SCMP_SYS(memfd_create),
                                                 SCMP_SYS(getrlimit),
                                                 SCMP_SYS(prlimit64),
                                                 SCMP_SYS(sched_setaffinity),
                                                 SCMP_SYS(sched_getscheduler),
                                                 SCMP_SYS(sched_getparam),
                                                 SCMP_SYS(mbind),
                                                 SCMP_SYS(get_mempolicy),
                                                 SCMP_SYS(set_mempolicy),
                                                 SCMP_SYS(mlock),
                                                 SCMP_SYS(membarrier),
                                                 SCMP_SYS(prctl)};

// Dropout too: LibTorch makes its generator of random numbers when the first one is drawn, and reads /dev/urandom for it.
constexpr const char* kEverything = R"(
def forward(self, x):
    x = torch.dropout(torch.relu(torch.conv2d(x, self.kernel, None, [1, 1], [1, 1])), 0.5, True)
    return torch.linear(torch.flatten(x, 1), self.weight)
)";

}  // namespace

void WarmUpTorch() {
  const auto model = Model::FromSource(
      {"WarmUp",
       {{"kernel", {2, 1, 3, 3}, std::vector<float>(18, 0.1f)}, {"weight", {3, 32}, std::vector<float>(96, 0.1f)}},
       kEverything});
  TRIBUTARY_CHECK(model.has_value()) << model.error().ToString();
  (void)(*model)->Run(std::vector<float>(5), std::vector<int64_t>{5});  // an error, once
  const auto module = (*model)->Save();
  TRIBUTARY_CHECK(module.has_value()) << module.error().ToString();
  auto set = std::make_shared<ExampleSet>();
  set->count = 4;
  set->columns.push_back({{"image", DType::kUint8, {1, 4, 4}}, Bytes(64, 7)});
  set->columns.push_back({{"label", DType::kUint8, {}}, {0, 1, 2, 0}});
  PublishedTask task;
  task.table = (*model)->table();
  const std::vector<float> weights = (*model)->Weights();
  const auto learned = TorchLearner().Learn({task, {}, *module, weights}, {Examples::All(set), Examples::All(set)}, {});
  TRIBUTARY_CHECK(learned.has_value()) << learned.error().ToString();
}

Status EnterSandbox() {
  // LibTorch calls itself for each function that a function names, with up to 8 KiB of stack: a MiB of code may have a
  // chain of 20,000. More of it is only used then.
  rlimit stack{};
  getrlimit(RLIMIT_STACK, &stack);
  stack.rlim_cur = std::min(stack.rlim_max, rlim_t{256 * limits::kMiB});
  setrlimit(RLIMIT_STACK, &stack);
  std::unique_ptr<void, void (*)(void*)> filter(seccomp_init(SCMP_ACT_KILL_PROCESS), seccomp_release);
  int result = filter ? 0 : -ENOMEM;
  const auto add = [&](uint32_t action, int call, std::initializer_list<scmp_arg_cmp> when) {
    if (result == 0) {
      result = seccomp_rule_add_array(filter.get(), action, call, static_cast<unsigned>(when.size()), when.begin());
    }
  };
  for (const int call : kAllowed) add(SCMP_ACT_ALLOW, call, {});
  for (const int call : kRefused) add(SCMP_ACT_ERRNO(EACCES), call, {});
  // Memory of its own, and no file's. It may be run: LibTorch compiles kernels while it works.
  add(SCMP_ACT_ALLOW, SCMP_SYS(mmap), {SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS)});
  add(SCMP_ACT_ALLOW, SCMP_SYS(mprotect), {});
  // abort() signals its own thread.
  add(SCMP_ACT_ALLOW, SCMP_SYS(tgkill), {SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(getpid()))});
  if (result == 0) result = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  if (result == 0) result = seccomp_load(filter.get());
  if (result == 0) return {};
  return Fail(Code::kNotSupported, "this kernel does not let a process limit itself (seccomp): {}",
              std::strerror(-result));
}

}  // namespace tributary

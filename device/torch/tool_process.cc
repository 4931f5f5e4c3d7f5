#include "device/torch/tool_process.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <iostream>
#include <memory>

#include "device/torch/sandbox.h"
#include "protocol/base/process/daemon.h"

namespace tributary {
namespace {

constexpr const char* kProgram = "tributary-device";

// The child's exit code, or what ended it.
Result<int> ExitCodeOf(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return Fail(Code::kIo, "wait for a process: {}", std::strerror(errno));
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  const int signal = WTERMSIG(status);
  return Fail(Code::kModelRefused, "the module ended the process that tried it (signal {}, {}); no file was written",
              signal, strsignal(signal));
}

Result<int> RunAndKeep(const Path& out, const std::function<Status(WritableFile*)>& work) {
  FileSystem& files = RealFileSystem();
  const Path beside = out.string() + ".new";
  std::unique_ptr<WritableFile> file;
  if (!out.empty()) {
    RETURN_IF_ERROR(files.Remove(beside));
    ASSIGN_OR_RETURN(file, files.OpenForWrite(beside));
  }
  std::cout.flush();
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return Fail(Code::kIo, "start a process: {}", std::strerror(errno));
  if (child == 0) {
    // Whoever ends the command ends the module's code with it.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(kExitFailure);
    const Status done = work(file.get());
    const int code = done ? kExitOk : ExitWith(kProgram, done.error());
    std::cout.flush();
    _exit(code);  // what the parent has open is the parent's to close
  }
  const auto code = ExitCodeOf(child);
  if (out.empty()) return code;
  if (!code || *code != kExitOk) {
    RETURN_IF_ERROR(files.Remove(beside));
    return code;
  }
  RETURN_IF_ERROR(file->Sync());
  RETURN_IF_ERROR(files.Rename(beside, out));
  RETURN_IF_ERROR(files.SyncFolder(out.parent_path().empty() ? Path(".") : out.parent_path()));
  return code;
}

}  // namespace

int RunInOwnProcess(const Path& out, const std::function<Status(WritableFile*)>& work) {
  const auto code = RunAndKeep(out, work);
  return code ? *code : ExitWith(kProgram, code.error());
}

Status Confine() {
  WarmUpTorch();
  return EnterSandbox();
}

}  // namespace tributary

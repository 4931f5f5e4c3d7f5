#include "tests/support/in_child.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "protocol/base/result.h"

namespace tributary {

int InChild(const char* name, const std::string& value, const std::function<void()>& work) {
  const pid_t child = fork();
  if (child == 0) {
    if (name != nullptr) setenv(name, value.c_str(), 1);
    work();
    _exit(0);
  }
  int status = 0;
  TRIBUTARY_CHECK(waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace tributary

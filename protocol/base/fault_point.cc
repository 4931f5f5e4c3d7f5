#include "protocol/base/fault_point.h"

#ifdef TRIBUTARY_FAULT_POINTS

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>

namespace tributary {
namespace {

// Read once: the environment is the test's, and does not change while the process runs.
struct Fault {
  Fault() {
    const char* text = std::getenv("TRIBUTARY_FAULT");
    if (text == nullptr) return;
    const std::string_view whole(text);
    const size_t colon = whole.rfind(':');
    int64_t count = 1;
    if (colon != std::string_view::npos) std::from_chars(text + colon + 1, text + whole.size(), count);
    name = whole.substr(0, colon);
    passes_left = count;
  }
  std::string name;
  std::atomic<int64_t> passes_left = 0;
};

int OpenTrace() {
  const char* path = std::getenv("TRIBUTARY_FAULT_TRACE");
  return path == nullptr ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

}  // namespace

void PassFaultPoint(const char* name) {
  static const int trace = OpenTrace();
  static Fault fault;
  if (trace >= 0) {
    const std::string line = std::string(name) + "\n";
    [[maybe_unused]] const auto wrote = write(trace, line.data(), line.size());
  }
  if (fault.name == name && --fault.passes_left == 0) kill(getpid(), SIGKILL);
}

}  // namespace tributary

#endif

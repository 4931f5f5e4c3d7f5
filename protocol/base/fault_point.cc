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

struct Fault {
  std::string name;
  std::atomic<int64_t> passes_left = 0;
};

// Read once: the environment is the test's, and does not change while the process runs.
Fault& TheFault() {
  static Fault fault;
  static const bool read = [] {
    const char* text = std::getenv("TRIBUTARY_FAULT");
    if (text == nullptr) return false;
    const std::string_view whole(text);
    const size_t colon = whole.rfind(':');
    int64_t count = 1;
    if (colon != std::string_view::npos) std::from_chars(text + colon + 1, text + whole.size(), count);
    fault.name = whole.substr(0, colon);
    fault.passes_left = count;
    return true;
  }();
  static_cast<void>(read);
  return fault;
}

int TraceFile() {
  static const int file = [] {
    const char* path = std::getenv("TRIBUTARY_FAULT_TRACE");
    return path == nullptr ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }();
  return file;
}

}  // namespace

void PassFaultPoint(const char* name) {
  if (const int file = TraceFile(); file >= 0) {
    const std::string line = std::string(name) + "\n";
    [[maybe_unused]] const auto wrote = write(file, line.data(), line.size());
  }
  Fault& fault = TheFault();
  if (fault.name == name && --fault.passes_left == 0) kill(getpid(), SIGKILL);
}

}  // namespace tributary

#endif

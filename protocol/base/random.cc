#include "protocol/base/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "protocol/base/result.h"

namespace tributary {

void SystemRandom::Fill(MutableByteView out) {
  while (!out.empty()) {
    const ssize_t got = getrandom(out.data(), out.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    TRIBUTARY_CHECK(got > 0) << "getrandom: " << std::strerror(errno);
    out = out.subspan(static_cast<size_t>(got));
  }
}

double UniformUnit(Random& random) {
  uint64_t bits = 0;
  random.Fill({reinterpret_cast<uint8_t*>(&bits), sizeof(bits)});
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

}  // namespace tributary

#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "device/examples/idx.h"
#include "tests/fuzz/fuzz_target.h"

// Plain or gzip, from a file in memory.
TRIBUTARY_FUZZ_TARGET(idx) {
  using namespace tributary;
  const int file = memfd_create("idx", MFD_CLOEXEC);
  TRIBUTARY_CHECK(file >= 0 && write(file, data, size) == static_cast<ssize_t>(size)) << "no file in memory";
  const auto array = ReadIdx("/proc/self/fd/" + std::to_string(file));
  close(file);
  if (!array) return 0;
  uint64_t values = 1;
  for (const uint32_t dimension : array->dimensions) values *= dimension;
  TRIBUTARY_CHECK(values == array->values.size()) << values << " announced, " << array->values.size() << " read";
  return 0;
}

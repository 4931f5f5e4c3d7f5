#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "device/import/npy_reader.h"
#include "tests/fuzz/fuzz_target.h"

// The head of an array, and what it announces; as a file in memory, which an archive may be too.
TRIBUTARY_FUZZ_TARGET(numpy) {
  using namespace tributary;
  const int file = memfd_create("numpy", MFD_CLOEXEC);
  TRIBUTARY_CHECK(file >= 0 && write(file, data, size) == static_cast<ssize_t>(size)) << "no file in memory";
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (const auto source = OpenSource(path)) {
    if (const auto head = ReadNpyHead(**source)) {
      uint64_t bytes = SizeOf(head->dtype);
      for (const uint64_t dimension : head->shape) {
        TRIBUTARY_CHECK(dimension == 0 || bytes <= kImportBytes / dimension) << "announces too much";
        bytes *= dimension == 0 ? 1 : dimension;
      }
    }
  }
  (void)OpenNumpy(path, {});
  close(file);
  return 0;
}

#include "aggregator/sum/cache_aligned.h"

#include <sys/mman.h>

#include <cstdlib>
#include <new>

namespace tributary {
namespace {

constexpr size_t kLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;
// Below this the memory lost to rounding up would be felt.
constexpr size_t kManyHugePages = 4 * kHugePage;

}  // namespace

void* AllocateAligned(size_t bytes) {
  const bool huge = bytes >= kManyHugePages;
  const size_t alignment = huge ? kHugePage : kLine;
  void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();  // as every allocator of a vector must
  // Advice: a kernel that has none to give goes on with small pages.
  if (huge) madvise(memory, bytes, MADV_HUGEPAGE);
  return memory;
}

void FreeAligned(void* memory) { std::free(memory); }

}  // namespace tributary

#include "aggregator/sum/sum_kernel.h"

#include <sys/mman.h>

#include <cmath>
#include <cstdlib>
#include <new>

#include "aggregator/sum/sum_kernel_x86.h"
#include "protocol/payload/fixed_point.h"

namespace tributary {
namespace {

constexpr size_t kLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;
// Below this the memory lost to rounding up would be felt.
constexpr size_t kManyHugePages = 4 * kHugePage;

}  // namespace

bool AddScalar(std::span<const float> values, const SumKernel::Terms& terms, SquareLanes& squares, int64_t* sum) {
  const FixedPointScale scale{terms.fraction_bits};
  bool good = true;
  for (size_t i = 0; i < values.size(); ++i) {
    const double value = values[i];
    squares[i % kSquareLanes] += value * value;
    if (!(std::abs(values[i]) <= terms.bound)) {
      good = false;
      continue;
    }
    // Unsigned, because the products wrap when a weight is undone.
    const uint64_t product = static_cast<uint64_t>(scale.ToFixed(values[i])) * static_cast<uint64_t>(terms.weight);
    sum[i] = static_cast<int64_t>(static_cast<uint64_t>(sum[i]) + product);
  }
  return good;
}

std::span<const SumKernel> SumKernels() {
  static const std::vector<SumKernel> kernels = [] {
    std::vector<SumKernel> found{{"scalar", AddScalar}};
    AppendX86SumKernels(found);
    return found;
  }();
  return kernels;
}

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

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "protocol/payload/bounds.h"

namespace tributary {

// The inner loops of the sum, one variant per instruction set. All give the same bits as the scalar one, which is
// written with FixedPointScale::ToFixed. None allocates or fails; all may be called from any thread.
struct SumKernel {
  std::string_view name;

  // In one pass: adds the squares of `values` to `squares`, of which the first value belongs to lane 0, and
  // sum[i] += round_to_nearest_even(values[i] * 2^fraction_bits) * weight, modulo 2^64. Returns whether every value is
  // finite and of magnitude at most `bound`. A value that is not adds 0, so the call with -weight undoes the call with
  // weight exactly, whatever the values. |bound * 2^fraction_bits| is at most 2^62.
  struct Terms {
    float bound;
    int fraction_bits;
    int64_t weight;
  };
  bool (*add)(std::span<const float> values, const Terms& terms, SquareLanes& squares, int64_t* sum);
};

// Those that this processor can run; the first is the scalar one, the last the fastest.
std::span<const SumKernel> SumKernels();
inline const SumKernel& FastestSumKernel() { return SumKernels().back(); }

// Memory at the start of a cache line: malloc places large blocks 16 bytes into a page, where every 64-byte load and
// store of a kernel touches two lines, and the sum takes up to three times as long while it fits a cache. A block
// of several huge pages is aligned to them, and the kernel is asked for them: a large sum takes a tenth less time.
void* AllocateAligned(size_t bytes);
void FreeAligned(void* memory);

template <class T>
struct CacheAlignedAllocator {
  using value_type = T;

  CacheAlignedAllocator() = default;
  template <class U>
  explicit CacheAlignedAllocator(const CacheAlignedAllocator<U>&) {}
  T* allocate(size_t count) { return static_cast<T*>(AllocateAligned(count * sizeof(T))); }
  void deallocate(T* pointer, size_t) { FreeAligned(pointer); }
  bool operator==(const CacheAlignedAllocator&) const = default;
};

template <class T>
using CacheAligned = std::vector<T, CacheAlignedAllocator<T>>;

}  // namespace tributary

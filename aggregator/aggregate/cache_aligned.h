#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace tributary {

// Allocates at the start of a cache line. malloc places large blocks 16 bytes into a page, where every 64-byte load and
// store of a kernel touches two lines: the sum then takes up to three times as long while it fits a cache.
template <class T>
struct CacheAlignedAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};

  CacheAlignedAllocator() = default;
  template <class U>
  explicit CacheAlignedAllocator(const CacheAlignedAllocator<U>&) {}
  T* allocate(size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kLine)); }
  void deallocate(T* pointer, size_t count) { ::operator delete(pointer, count * sizeof(T), kLine); }
  bool operator==(const CacheAlignedAllocator&) const = default;
};

template <class T>
using CacheAligned = std::vector<T, CacheAlignedAllocator<T>>;

}  // namespace tributary

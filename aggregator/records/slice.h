#pragma once

#include <cstdint>

namespace tributary {

// The most items that are read of a list in one turn of the core thread. Updates wait for that thread meanwhile, and
// a turn with everything that the API shows of so many rounds or devices takes it about three milliseconds.
inline constexpr uint64_t kItemsOfTurn = 64;

// A part of a list in the order of its keys: at most `most` items whose keys are greater than `after`. The default key
// is less than all others. Whoever reads the list begins at the key by an index and never counts past what lies before it.
template <class Key>
struct Slice {
  Key after = {};
  uint64_t most = kItemsOfTurn;
};

}  // namespace tributary

#pragma once

#include "protocol/base/file.h"
#include "tests/support/must.h"

namespace tributary {

// Changes one bit in the middle of a file, as a disk may.
inline void FlipAByte(const Path& file) {
  const uint64_t middle = Must(RealFileSystem().Size(file)) / 2;
  Bytes byte = Must(RealFileSystem().ReadAt(file, middle, 1));
  byte[0] ^= 1;
  Must(Must(RealFileSystem().OpenForWrite(file))->WriteAt(middle, byte));
}

}  // namespace tributary

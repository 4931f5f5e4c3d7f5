#pragma once

#include <cstdint>

namespace tributary {

// How many bytes of a TCP connection have arrived at its two ends. On a slow link these grow long before a whole
// message is through, so they tell slow from dead.
struct TcpProgress {
  uint64_t acknowledged = 0;  // of what was sent
  uint64_t received = 0;
};

// Zeros when `fd` is no TCP connection (any more); a descriptor that was given to another connection meanwhile shows
// that one's bytes.
TcpProgress TcpProgressOf(int fd);

}  // namespace tributary

#pragma once

#include <cstddef>

#include "protocol/base/clock.h"
#include "protocol/base/limits.h"

namespace tributary {

// What both ends of a connection agree on silently. Few timeouts, all of them about progress.
struct TransportOptions {
  // ZeroMQ pings after this much silence and gives a connection up after `heartbeat_timeout` more, so a half-open link
  // is noticed within the sum of the two.
  Millis heartbeat_interval{10'000};
  Millis heartbeat_timeout{20'000};
  // A peer that connects and does not finish the CURVE handshake within this time is cut off.
  Millis handshake_timeout{10'000};
  // A frame over this size closes its connection before it is read.
  size_t max_frame_bytes = limits::kMaxChunkBytes + limits::kSealTagBytes;
};

}  // namespace tributary

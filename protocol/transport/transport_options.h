#pragma once

#include <cstddef>

#include "protocol/base/limits.h"
#include "protocol/transport/connection_gate.h"

namespace tributary {

// The settings of both ends of a connection. There are few timeouts, all of them about progress.
//
// That the other end is gone without a word (a cable, a NAT that forgot, a host that lost power) is left to TCP to
// notice: it probes an idle connection (keepalive), and gives up one whose bytes nobody acknowledges (user timeout).
// libzmq's own heartbeats are off, for two reasons. libzmq 4.3.4 restarts their clock only when a whole message was
// decoded, and they queue behind bulk: on 64 kbit/s a chunk of 256 KiB takes 33 s, in which a living link would be cut.
// And at 10,000 idle connections pings and pongs in both directions cost the server several percent of a core, where
// the kernel's probes cost its process nothing.
struct TransportOptions {
  // Probes of an idle connection begin after this much silence. In whole seconds.
  Millis heartbeat_interval{10'000};
  // A connection is given up when for so long nothing came and nothing of what was sent, probes or bytes, was
  // acknowledged. So a half-open link is noticed within the sum of the two when it is idle, and otherwise within this
  // after something is sent on it: at a gateway within 30 s, since it checks in every 15 s.
  Millis heartbeat_timeout{15'000};
  // A peer that connects and does not finish the CURVE handshake within this time is cut off.
  Millis handshake_timeout{10'000};

  // At a server, of connections that nobody has proven himself on (ServerSocket::Admit). There are at most so many,
  // each of at most 40 KB: 160 MB. Beyond that the oldest is cut; at 2,000 new ones a second each has two seconds.
  size_t max_unproven = 4'096;
  // From connecting to the proof: CURVE and the hop's handshake are six round trips, on a satellite's link as many
  // seconds.
  Millis unproven_timeout{20'000};
  // Received on such a connection: greeting and handshakes are 2 KiB, and a proof, or a request for a certificate, is
  // at most 33 KiB. Looked at every second, so the bytes that come meanwhile are bounded by max_frame_bytes and receive_queue.
  uint64_t max_unproven_bytes = 128 * limits::kKiB;
  // Messages that libzmq keeps of one connection, received and not handed over yet. Chunks are bounded by credit; other
  // messages of a peer must not pile up.
  int receive_queue = 32;
  // Connections that the kernel keeps while libzmq does not accept them: a fleet that comes back at once.
  int backlog = 1'024;
  GateOptions gate;

  // A frame over this size closes its connection before it is read.
  // CURVE adds 33 bytes to each; the rest is so that a message somewhat too long is refused with a word, not cut off.
  size_t max_frame_bytes = limits::kMaxChunkBytes + limits::kSealTagBytes + 64 * limits::kKiB;
};

}  // namespace tributary

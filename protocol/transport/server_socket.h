#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "protocol/base/result.h"
#include "protocol/transport/loop.h"
#include "protocol/transport/transport_options.h"
#include "protocol/trust/seal/secret.h"

namespace tributary {

// The server's end: a ROUTER with CURVE. Every connection must know this server's CURVE key and shows its own, which
// the handler is told with every message (libzmq's ZAP handshake proves that the peer holds the secret to it). Legal
// call order: Bind, then Send and the handler's calls, all on the loop's thread. The loop and the handler must outlive
// it. One per loop. A connection that is not admitted in time is cut, and so is one that sends too much before that.
// Does not promise delivery: a message to a peer that is gone, or too slow to take it, is not kept.
class ServerSocket {
 public:
  struct Peer {
    std::string route;       // ROUTER's name for this connection, new for every connection
    Bytes curve_public_key;  // 32 bytes, proven
    int connection = -1;     // for BytesReceived
  };
  class Handler {
   public:
    virtual ~Handler() = default;
    // The views are valid during the call. `bulk` is empty when the message had no second frame.
    virtual void OnMessage(const Peer& peer, ByteView message, ByteView bulk) = 0;
    // A message of three or more frames, or without a proven key: nothing of it can be believed.
    virtual void OnNonsense(const Peer& peer) = 0;
    // The connection broke: closed or reset by the peer, or given up by TCP after the heartbeat time. All messages that
    // had come on it were handed over before. Only of connections that a message came on.
    virtual void OnDisconnected(const std::string& /*route*/) {}
  };

  // `endpoint`: tcp://host:port, port 0 or * for any free one. kPortInUse, kInvalidArgument (endpoint or key),
  // kConflict (the loop has one already).
  static Result<std::unique_ptr<ServerSocket>> Bind(Loop& loop, const std::string& endpoint,
                                                    const SecretBytes& curve_secret, const TransportOptions& options,
                                                    Handler& handler);
  ~ServerSocket();

  // kUnreachable: the connection is gone, or its queue is full.
  Status Send(const std::string& route, ByteView message, ByteView bulk = {});
  // Whoever speaks on the route has proven to be a member: the limits for unproven connections are for it no more.
  void Admit(const std::string& route);
  // It has not, and needs so much more time from now on.
  void Allow(const std::string& route, Millis time);
  // Its session is over; when the last word to it has had time to leave, the connection is cut.
  void Dismiss(const std::string& route);
  // Its proof was wrong: who does that again and again is turned away before it can (connection_gate.h).
  void ProofFailed(const std::string& route);
  // Whoever speaks on the route, and has proven nothing, asks for a certificate. false: it is gone, or its address asks
  // too often.
  bool MayEnrol(const std::string& route);
  // Who was turned away before the proof, since the start.
  const std::map<TurnedAway, uint64_t>& turned_away() const;
  // Connections that have not proven anything, now.
  size_t unproven() const;
  // Bytes that came on a peer's connection, also of messages that are not whole yet (tcp_connection.h).
  uint64_t BytesReceived(int connection) const;
  // Bytes that the peer's end has acknowledged.
  uint64_t BytesAcknowledged(int connection) const;
  // As it was bound, with the real port.
  const std::string& endpoint() const;

 private:
  struct Native;
  explicit ServerSocket(std::unique_ptr<Native> native);
  std::unique_ptr<Native> native_;
};

}  // namespace tributary

#pragma once

#include <memory>
#include <string>

#include "protocol/base/result.h"
#include "protocol/transport/loop.h"
#include "protocol/transport/transport_options.h"
#include "protocol/trust/seal/secret.h"

namespace tributary {

// The client's end: a DEALER with CURVE, one outbound TCP connection, which libzmq opens again by itself when it
// breaks. A message that was sent before a break may or may not have arrived; the hop protocol settles that. A new socket is a
// new connection. Everything runs on the loop's thread. The loop and the handler must outlive it.
class ClientSocket {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    // The views are valid during the call. May destroy nothing of this socket: post that.
    virtual void OnMessage(ByteView message, ByteView bulk) = 0;
    // The connection broke: reset, closed by the server, or given up by TCP after the heartbeat time. All messages that
    // had come on it were handed over before. libzmq goes on trying to connect.
    virtual void OnDisconnected() {}
    // Nobody takes connections at that address. libzmq goes on trying.
    virtual void OnNotConnected() {}
  };

  // `endpoint`: of an address; a name is AddressFinder's to find first. kInvalidArgument: the endpoint, or a key of
  // other than 32 bytes. Whether the server is there shows later, by its answer.
  static Result<std::unique_ptr<ClientSocket>> Connect(Loop& loop, const std::string& endpoint,
                                                       ByteView server_curve_key, const SecretBytes& own_curve_secret,
                                                       const TransportOptions& options, Handler& handler);
  ~ClientSocket();

  // kUnreachable: the queue towards the server is full.
  Status Send(ByteView message, ByteView bulk = {});
  // There is a TCP connection; whether its other end has the key is not known by that.
  bool IsConnected() const;
  // Bytes that moved on the connection there is now, in either direction (tcp_connection.h).
  uint64_t BytesMoved() const;

 private:
  struct Native;
  explicit ClientSocket(std::unique_ptr<Native> native);
  std::unique_ptr<Native> native_;
};

}  // namespace tributary

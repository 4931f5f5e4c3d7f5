#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <zmq.hpp>

#include "protocol/base/result.h"
#include "protocol/transport/loop.h"
#include "protocol/transport/transport_options.h"

// Between the .cc files of this folder only: the one header that shows zmq's types.
namespace tributary {

inline ByteView View(const zmq::message_t& frame) { return {static_cast<const uint8_t*>(frame.data()), frame.size()}; }

inline zmq::const_buffer BufferOf(ByteView bytes) { return {bytes.data(), bytes.size()}; }
inline zmq::context_t& ContextOf(Loop& loop) { return *static_cast<zmq::context_t*>(loop.native_context()); }

// All frames of the next message, or nullopt when none waits.
std::optional<std::vector<zmq::message_t>> Receive(zmq::socket_t& socket);
// Sends all frames or none. false: the queue is full or the peer is gone.
bool SendFrames(zmq::socket_t& socket, std::initializer_list<ByteView> frames);
// Sets the options that client and server have alike.
void Configure(zmq::socket_t& socket, const TransportOptions& options);

// Reports what happens to the connections below a socket, as libzmq sees it: `on_event` gets the ZMQ_EVENT_… and the
// descriptor. The socket must outlive it.
class ConnectionMonitor final : public Loop::Pollable {
 public:
  ConnectionMonitor(Loop& loop, zmq::socket_t& socket, int events, std::function<void(int event, int fd)> on_event);
  ~ConnectionMonitor() override;
  void* native_socket() override { return pair_.handle(); }
  // Hands on all that has happened by now.
  void OnReadable() override;

 private:
  Loop& loop_;
  zmq::socket_t& socket_;
  zmq::socket_t pair_;
  std::function<void(int event, int fd)> on_event_;
};

// A socket handles at most this many messages before the loop looks at the others.
inline constexpr int kMessagesPerTurn = 64;

}  // namespace tributary

#include "protocol/transport/client_socket.h"

#include <zmq.hpp>

#include "protocol/transport/address_finder.h"
#include "protocol/transport/tcp_connection.h"
#include "protocol/transport/zmq_frames.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {
namespace {

// How soon libzmq opens a broken connection again, and how far it backs off.
constexpr int kReconnectMillis = 100;
constexpr int kReconnectMaxMillis = 2000;

}  // namespace

struct ClientSocket::Native final : Loop::Pollable {
  Native(Loop& owner, Handler& receiver) : loop(owner), handler(receiver) {}
  ~Native() override { loop.Remove(*this); }

  void* native_socket() override { return socket.handle(); }

  void OnReadable() override {
    for (int i = 0; i < kMessagesPerTurn; ++i) {
      const auto frames = Receive(socket);
      if (!frames) return;
      // A server that sends more than two frames is not one of ours; an empty message has no meaning either, so it is
      // refused by whoever decodes it.
      const bool plain = frames->size() <= 2;
      handler.OnMessage(plain ? View((*frames)[0]) : ByteView{},
                        plain && frames->size() == 2 ? View((*frames)[1]) : ByteView{});
    }
  }

  void OnConnection(int event, int descriptor) {
    if (event == ZMQ_EVENT_CONNECTED) {
      fd = descriptor;
      return;
    }
    if (event == ZMQ_EVENT_CONNECT_RETRIED) {
      // After a connection that broke as well; that was told.
      if (std::exchange(trying, true)) handler.OnNotConnected();
      return;
    }
    fd = -1;
    trying = false;
    OnReadable();
    handler.OnDisconnected();
  }

  Loop& loop;
  Handler& handler;
  zmq::socket_t socket;
  int fd = -1;         // of the connection; libzmq's, only asked about
  bool trying = true;  // since the start, or since the pause after a connection that broke
  std::unique_ptr<ConnectionMonitor> monitor;
};

ClientSocket::ClientSocket(std::unique_ptr<Native> native) : native_(std::move(native)) {}
ClientSocket::~ClientSocket() = default;

Result<std::unique_ptr<ClientSocket>> ClientSocket::Connect(Loop& loop, const std::string& endpoint,
                                                            ByteView server_curve_key,
                                                            const SecretBytes& own_curve_secret,
                                                            const TransportOptions& options, Handler& handler) {
  if (server_curve_key.size() != 32) return Fail(Code::kInvalidArgument, "the server's CURVE key has not 32 bytes");
  ASSIGN_OR_RETURN(const Bytes public_key, CurvePublicKeyOf(own_curve_secret));
  ASSIGN_OR_RETURN(const TcpEndpoint parts, ParseTcpEndpoint(endpoint));
  if (!parts.IsAddress()) return Fail(Code::kInvalidArgument, "{} is a name; its address is wanted here", endpoint);
  try {
    auto native = std::make_unique<Native>(loop, handler);
    native->socket = zmq::socket_t(ContextOf(loop), zmq::socket_type::dealer);
    Configure(native->socket, options);
    native->socket.set(zmq::sockopt::reconnect_ivl, kReconnectMillis);
    native->socket.set(zmq::sockopt::reconnect_ivl_max, kReconnectMaxMillis);
    native->socket.set(zmq::sockopt::curve_serverkey, BufferOf(server_curve_key));
    native->socket.set(zmq::sockopt::curve_publickey, BufferOf(public_key));
    native->socket.set(zmq::sockopt::curve_secretkey, BufferOf(own_curve_secret.RevealForUse()));
    native->monitor = std::make_unique<ConnectionMonitor>(
        loop, native->socket, ZMQ_EVENT_CONNECTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED,
        [raw = native.get()](int event, int fd) { raw->OnConnection(event, fd); });
    native->socket.connect(endpoint);
    loop.Add(*native);
    return std::unique_ptr<ClientSocket>(new ClientSocket(std::move(native)));
  } catch (const zmq::error_t& failure) {
    return Fail(Code::kInvalidArgument, "cannot connect to " + endpoint + ": " + failure.what());
  }
}

Status ClientSocket::Send(ByteView message, ByteView bulk) {
  const bool sent =
      bulk.empty() ? SendFrames(native_->socket, {message}) : SendFrames(native_->socket, {message, bulk});
  if (!sent) return Fail(Code::kUnreachable, "the queue towards the server is full");
  return {};
}

bool ClientSocket::IsConnected() const { return native_->fd >= 0; }

uint64_t ClientSocket::BytesMoved() const {
  const TcpProgress progress = TcpProgressOf(native_->fd);
  return progress.acknowledged + progress.received;
}

}  // namespace tributary

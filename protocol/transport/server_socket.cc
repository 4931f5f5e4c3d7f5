#include "protocol/transport/server_socket.h"

#include <optional>
#include <vector>

#include <zmq.hpp>

#include "protocol/transport/zmq_frames.h"

namespace tributary {
namespace {

// Answers libzmq's question about every connection that finished its CURVE handshake (ZAP, rfc.zeromq.org/spec/27):
// everybody may in, and is called by the key that the handshake proved. Who that is, the hop's proof decides.
class ZapHandler final : public Loop::Pollable {
 public:
  static constexpr char kName[] = "inproc://zeromq.zap.01";

  explicit ZapHandler(Loop& loop) : loop_(loop), socket_(ContextOf(loop), zmq::socket_type::rep) {
    socket_.bind(kName);
    loop_.Add(*this);
  }
  ~ZapHandler() override {
    loop_.Remove(*this);
    try {
      // At once, not when libzmq gets to it: the next server socket of this loop takes the name.
      socket_.unbind(kName);
    } catch (const zmq::error_t&) {
      // It goes with the socket.
    }
  }

  void* native_socket() override { return socket_.handle(); }

  void OnReadable() override {
    while (auto request = Receive(socket_)) {
      // version, request id, domain, address, routing id, mechanism, credentials: CURVE has one credential, the 32-byte
      // key
      const bool curve =
          request->size() == 7 && (*request)[5].to_string_view() == "CURVE" && (*request)[6].size() == 32;
      const ByteView id = request->size() > 1 ? View((*request)[1]) : ByteView{};
      const std::string user = curve ? ToHex(View((*request)[6])) : "";
      SendFrames(socket_, {AsBytes("1.0"), id, AsBytes(curve ? "200" : "400"), AsBytes(curve ? "" : "CURVE only"),
                           AsBytes(user), ByteView{}});
    }
  }

 private:
  Loop& loop_;
  zmq::socket_t socket_;
};

}  // namespace

struct ServerSocket::Native final : Loop::Pollable {
  Native(Loop& owner, Handler& receiver) : loop(owner), handler(receiver) {}
  ~Native() override { loop.Remove(*this); }

  void* native_socket() override { return socket.handle(); }

  void OnReadable() override {
    for (int i = 0; i < kMessagesPerTurn; ++i) {
      auto frames = Receive(socket);
      if (!frames) return;
      Deliver(*frames);
    }
  }

  void Deliver(std::vector<zmq::message_t>& frames) {
    Peer peer{frames.front().to_string(), {}};
    const char* user = nullptr;
    try {
      if (frames.size() > 1) user = frames[1].gets("User-Id");
    } catch (const zmq::error_t&) {
      user = nullptr;  // the property is absent
    }
    if (user) {
      if (auto key = FromHex(user)) peer.curve_public_key = std::move(*key);
    }
    if (frames.size() < 2 || frames.size() > 3 || peer.curve_public_key.size() != 32) return handler.OnNonsense(peer);
    handler.OnMessage(peer, View(frames[1]), frames.size() == 3 ? View(frames[2]) : ByteView{});
  }

  Loop& loop;
  Handler& handler;
  std::unique_ptr<ZapHandler> zap;
  zmq::socket_t socket;
  std::string endpoint;
};

ServerSocket::ServerSocket(std::unique_ptr<Native> native) : native_(std::move(native)) {}
ServerSocket::~ServerSocket() = default;

Result<std::unique_ptr<ServerSocket>> ServerSocket::Bind(Loop& loop, const std::string& endpoint,
                                                         const SecretBytes& curve_secret,
                                                         const TransportOptions& options, Handler& handler) {
  if (curve_secret.size() != 32) return Fail(Code::kInvalidArgument, "the CURVE key has not 32 bytes");
  RETURN_IF_ERROR(CheckPort(endpoint));
  try {
    auto native = std::make_unique<Native>(loop, handler);
    // The handler for connections must be there before the first can come.
    try {
      native->zap = std::make_unique<ZapHandler>(loop);
    } catch (const zmq::error_t&) {
      return Fail(Code::kConflict, "cannot listen on " + endpoint + ": this loop has a server socket already");
    }
    native->socket = zmq::socket_t(ContextOf(loop), zmq::socket_type::router);
    Configure(native->socket, options);
    native->socket.set(zmq::sockopt::curve_server, true);
    native->socket.set(zmq::sockopt::curve_secretkey, BufferOf(curve_secret.RevealForUse()));
    native->socket.set(zmq::sockopt::zap_domain, "tributary");
    // A message to a peer that is gone is an error here, not silence.
    native->socket.set(zmq::sockopt::router_mandatory, true);
    native->socket.bind(endpoint);
    native->endpoint = native->socket.get(zmq::sockopt::last_endpoint);
    loop.Add(*native);
    return std::unique_ptr<ServerSocket>(new ServerSocket(std::move(native)));
  } catch (const zmq::error_t& failure) {
    const Code code = failure.num() == EADDRINUSE ? Code::kPortInUse : Code::kInvalidArgument;
    return Fail(code, "cannot listen on " + endpoint + ": " + failure.what());
  }
}

Status ServerSocket::Send(const std::string& route, ByteView message, ByteView bulk) {
  const bool sent = bulk.empty() ? SendFrames(native_->socket, {AsBytes(route), message})
                                 : SendFrames(native_->socket, {AsBytes(route), message, bulk});
  if (!sent) return Fail(Code::kUnreachable, "the connection is gone or takes nothing more");
  return {};
}

const std::string& ServerSocket::endpoint() const { return native_->endpoint; }

}  // namespace tributary

#include "protocol/transport/server_socket.h"

#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <zmq.hpp>

#include "protocol/transport/address_finder.h"
#include "protocol/transport/tcp_connection.h"
#include "protocol/transport/zmq_frames.h"

namespace tributary {
namespace {

// The domain in which this server's connections are asked about.
constexpr char kDomain[] = "tributary";

constexpr Millis kSweepInterval{1'000};

// Enough for hello and proof, or hello and enrol, and some that go wrong.
constexpr int kMessagesBeforeProof = 16;
// In this time the word that says why gets through, and the peer closes the connection itself.
constexpr Millis kGrace{1'000};

// The connections of a server socket by descriptor, and how long those that have proven nothing may stay: ends them
// when they take too long, send too much or are too many.
class ConnectionTable {
 public:
  ConnectionTable(const Clock& clock, const TransportOptions& options)
      : clock_(clock), options_(options), gate_(clock, options.gate) {}

  void Accepted(int fd) {
    Closed(fd);
    Connection& connection = connections_[fd];
    connection.peer = TcpPeerOf(fd);
    connection.number = ++last_number_;
    connection.until = clock_.Monotonic() + options_.unproven_timeout;
    if (connection.peer.address.empty()) return;  // it has gone again; that is told next
    if (gate_.Connected(connection.peer.address)) return CutTcp(fd, connection.peer);
    if (unproven_.size() >= options_.max_unproven) {
      const int oldest = unproven_.begin()->second;
      unproven_.erase(unproven_.begin());
      gate_.Count(TurnedAway::kGaveWay);
      CutTcp(oldest, connections_.at(oldest).peer);
    }
    unproven_.emplace(connection.number, fd);
  }
  void Closed(int fd) {
    const auto closed = connections_.extract(fd);
    if (!closed) return;
    gate_.Disconnected(closed.mapped().peer.address);
    unproven_.erase(closed.mapped().number);
  }
  // The first message of this route came on it.
  void Named(int fd, const std::string& route, const Bytes& key) {
    const auto found = connections_.find(fd);
    if (found == connections_.end()) return;
    found->second.route = route;
    found->second.key = key;
    // An earlier connection under this number may have proven itself; this one has not.
    if (std::exchange(found->second.admitted, false)) unproven_.emplace(found->second.number, fd);
  }
  // false: it has said more than anybody needs to before the proof, and is not listened to any more.
  bool MaySay(int fd) {
    const auto found = connections_.find(fd);
    if (found == connections_.end() || found->second.admitted) return true;
    return ++found->second.messages <= kMessagesBeforeProof;
  }

  // The owner's word on whoever speaks on the route; nothing happens when that is gone.
  void Admit(int fd, const std::string& route) {
    Connection* connection = Find(fd, route);
    if (!connection) return;
    gate_.Proved(connection->key);
    connection->admitted = true;
    unproven_.erase(connection->number);
  }
  void Allow(int fd, const std::string& route, Millis time) {
    if (Connection* connection = Find(fd, route)) connection->until = clock_.Monotonic() + time;
  }
  void Dismiss(int fd, const std::string& route) {
    Connection* connection = Find(fd, route);
    if (!connection) return;
    if (std::exchange(connection->admitted, false)) connection->messages = 0;
    connection->over = true;
    connection->until = clock_.Monotonic() + kGrace;
    unproven_.emplace(connection->number, fd);
  }
  void Failed(int fd, const std::string& route) {
    if (const Connection* connection = Find(fd, route)) gate_.Failed(connection->peer.address, connection->key);
  }
  bool MayEnrol(int fd, const std::string& route) {
    const Connection* connection = Find(fd, route);
    return connection && gate_.MayEnrol(connection->peer.address);
  }
  // To be called every second.
  void Sweep() {
    const Millis now = clock_.Monotonic();
    for (auto next = unproven_.begin(); next != unproven_.end();) {
      const int fd = next->second;
      const Connection& connection = connections_.at(fd);
      const bool late = now >= connection.until;
      const bool much = !connection.over && TcpProgressOf(fd).received > options_.max_unproven_bytes;
      if (!late && !much) {
        ++next;
        continue;
      }
      if (!connection.over) gate_.Count(late ? TurnedAway::kTooSlow : TurnedAway::kTooMuch);
      CutTcp(fd, connection.peer);
      next = unproven_.erase(next);
    }
  }

  ConnectionGate& gate() { return gate_; }
  size_t unproven() const { return unproven_.size(); }

 private:
  struct Connection {
    TcpPeer peer;
    std::string route;  // empty: no message came yet
    Bytes key;
    uint64_t number = 0;  // in the order in which they came
    Millis until{0};      // unproven: when it is cut
    int messages = 0;     // of an unproven one
    bool admitted = false;
    bool over = false;  // was told that it is, and is cut when its last word has left
  };

  Connection* Find(int fd, const std::string& route) {
    const auto found = connections_.find(fd);
    return found != connections_.end() && found->second.route == route ? &found->second : nullptr;
  }

  const Clock& clock_;
  TransportOptions options_;
  ConnectionGate gate_;
  std::unordered_map<int, Connection> connections_;
  std::map<uint64_t, int> unproven_;  // descriptors by number: the oldest first
  uint64_t last_number_ = 0;
};

// Answers libzmq's question about every connection that finished its CURVE handshake (ZAP, rfc.zeromq.org/spec/27): who
// may go on is called by the key that the handshake proved. Who that is, the hop's proof decides.
class ZapHandler final : public Loop::Pollable {
 public:
  static constexpr char kName[] = "inproc://zeromq.zap.01";

  ZapHandler(Loop& loop, ConnectionGate& gate)
      : loop_(loop), gate_(gate), socket_(ContextOf(loop), zmq::socket_type::rep) {
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
    while (auto request = Receive(socket_)) Answer(*request);
  }

 private:
  // version, request id, domain, address, routing id, mechanism, credentials: CURVE has one, the 32-byte key
  void Answer(const std::vector<zmq::message_t>& request) {
    const bool curve = request.size() == 7 && request[2].to_string_view() == kDomain &&
                       request[5].to_string_view() == "CURVE" && request[6].size() == 32;
    const ByteView id = request.size() > 1 ? View(request[1]) : ByteView{};
    if (!curve) return Say(id, "400", "CURVE only", "");
    const ByteView key = View(request[6]);
    // 300, "temporary": the connection is closed without a word. With 400 the peer would be told, and libzmq's clients
    // would not come back by themselves.
    const auto turned_away = gate_.Handshaken(AddressGroup(request[3].to_string_view()), key);
    if (turned_away) return Say(id, "300", TurnedAwayName(*turned_away), "");
    Say(id, "200", "", ToHex(key));
  }
  void Say(ByteView id, std::string_view status, std::string_view text, std::string_view user) {
    SendFrames(socket_, {AsBytes("1.0"), id, AsBytes(status), AsBytes(text), AsBytes(user), ByteView{}});
  }

  Loop& loop_;
  ConnectionGate& gate_;
  zmq::socket_t socket_;
};

// An IPv4 address as people write it: libzmq listens on it as "[::ffff:127.0.0.1]".
std::string WithoutMapping(std::string endpoint) {
  constexpr std::string_view kMapped = "[::ffff:";
  const size_t begin = endpoint.find(kMapped);
  const size_t end = endpoint.find(']');
  if (begin == std::string::npos || end == std::string::npos) return endpoint;
  const std::string address = endpoint.substr(begin + kMapped.size(), end - begin - kMapped.size());
  return address.find('.') == std::string::npos ? endpoint : endpoint.replace(begin, end + 1 - begin, address);
}

}  // namespace

struct ServerSocket::Native final : Loop::Pollable {
  Native(Loop& owner, const TransportOptions& options, Handler& receiver)
      : loop(owner), handler(receiver), table(owner.clock(), options) {
    Sweep();
  }
  ~Native() override {
    loop.Cancel(sweep_timer);
    loop.Remove(*this);
  }

  void Sweep() {
    table.Sweep();
    sweep_timer = loop.After(kSweepInterval, [this] { Sweep(); });
  }

  void* native_socket() override { return socket.handle(); }

  void OnReadable() override {
    reading = true;
    for (int i = 0; i < kMessagesPerTurn; ++i) {
      auto frames = Receive(socket);
      if (!frames) break;
      Deliver(*frames);
    }
    reading = false;
    // With more to read, the loop comes back.
    if (!ended.empty() && (socket.get(zmq::sockopt::events) & ZMQ_POLLIN) == 0) EndAll();
  }

  void Deliver(std::vector<zmq::message_t>& frames) {
    Peer peer{frames.front().to_string(), {}, -1};
    const char* user = nullptr;
    try {
      if (frames.size() > 1) peer.connection = frames[1].get(ZMQ_SRCFD);
      if (frames.size() > 1) user = frames[1].gets("User-Id");
    } catch (const zmq::error_t&) {
      // The property is absent.
    }
    if (user) {
      if (auto key = FromHex(user)) peer.curve_public_key = std::move(*key);
    }
    Remember(peer);
    if (!table.MaySay(peer.connection)) return;
    if (frames.size() < 2 || frames.size() > 3 || peer.curve_public_key.size() != 32) return handler.OnNonsense(peer);
    handler.OnMessage(peer, View(frames[1]), frames.size() == 3 ? View(frames[2]) : ByteView{});
  }

  // libzmq tells of the beginning and the end of a connection by its descriptor, which the next connection may get, and
  // its messages come by another queue than these events. Of one descriptor the events are in order, and the beginning
  // is told before the first message can come. So with the first message of a route all events so far are read: a
  // descriptor that another route had is that one's end; and if none is open there, this route has ended too, and these
  // are its last words.
  void Remember(const Peer& peer) {
    if (peer.connection < 0) return;
    const auto known = routes.find(peer.connection);
    if (known != routes.end() && known->second == peer.route) return;
    monitor->OnReadable();
    End(peer.connection);
    routes[peer.connection] = peer.route;
    connections[peer.route] = peer.connection;
    table.Named(peer.connection, peer.route, peer.curve_public_key);
    if (!open.contains(peer.connection)) ended.push_back(peer.connection);
  }

  void OnEvent(int event, int fd) {
    if (event == ZMQ_EVENT_ACCEPTED) {
      open.insert(fd);
      table.Accepted(fd);
      return;
    }
    open.erase(fd);
    table.Closed(fd);
    const bool known = routes.contains(fd);
    // Messages that came before the end come first; within Remember the caller is reading already.
    if (known && !reading) ended.push_back(fd);
    if (!reading) return OnReadable();
    if (known) End(fd);
  }

  void End(int fd) {
    const auto ending = routes.extract(fd);
    if (!ending) return;
    connections.erase(ending.mapped());
    std::erase(ended, fd);
    handler.OnDisconnected(ending.mapped());
  }

  void EndAll() {
    for (const int fd : std::exchange(ended, {})) End(fd);
  }

  // The descriptor of a route; -1: it has ended.
  int ConnectionOf(const std::string& route) const {
    const auto found = connections.find(route);
    return found == connections.end() ? -1 : found->second;
  }

  Loop& loop;
  Handler& handler;
  ConnectionTable table;
  Loop::TimerId sweep_timer = 0;
  std::unique_ptr<ZapHandler> zap;
  zmq::socket_t socket;
  std::unordered_map<int, std::string> routes;       // by descriptor, of the connections that a message came on
  std::unordered_map<std::string, int> connections;  // the same the other way round
  std::unordered_set<int> open;                      // descriptors of the connections that have not ended
  std::vector<int> ended;                            // descriptors of routes that have, once their last words are read
  bool reading = false;
  std::unique_ptr<ConnectionMonitor> monitor;
  std::string endpoint;
};

ServerSocket::ServerSocket(std::unique_ptr<Native> native) : native_(std::move(native)) {}
ServerSocket::~ServerSocket() = default;

Result<std::unique_ptr<ServerSocket>> ServerSocket::Bind(Loop& loop, const std::string& endpoint,
                                                         const SecretBytes& curve_secret,
                                                         const TransportOptions& options, Handler& handler) {
  if (curve_secret.size() != 32) return Fail(Code::kInvalidArgument, "the CURVE key has not 32 bytes");
  RETURN_IF_ERROR(ParseTcpEndpoint(endpoint));
  try {
    auto native = std::make_unique<Native>(loop, options, handler);
    // The handler for connections must be there before the first can come.
    try {
      native->zap = std::make_unique<ZapHandler>(loop, native->table.gate());
    } catch (const zmq::error_t&) {
      return Fail(Code::kConflict, "cannot listen on " + endpoint + ": this loop has a server socket already");
    }
    native->socket = zmq::socket_t(ContextOf(loop), zmq::socket_type::router);
    Configure(native->socket, options);
    native->socket.set(zmq::sockopt::curve_server, true);
    native->socket.set(zmq::sockopt::curve_secretkey, BufferOf(curve_secret.RevealForUse()));
    native->socket.set(zmq::sockopt::zap_domain, kDomain);
    native->socket.set(zmq::sockopt::rcvhwm, options.receive_queue);
    native->socket.set(zmq::sockopt::backlog, options.backlog);
    // A message to a peer that is gone is an error here, not silence.
    native->socket.set(zmq::sockopt::router_mandatory, true);
    native->monitor =
        std::make_unique<ConnectionMonitor>(loop, native->socket, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED,
                                            [raw = native.get()](int event, int fd) { raw->OnEvent(event, fd); });
    native->socket.bind(endpoint);
    native->endpoint = WithoutMapping(native->socket.get(zmq::sockopt::last_endpoint));
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

void ServerSocket::Admit(const std::string& route) { native_->table.Admit(native_->ConnectionOf(route), route); }
void ServerSocket::Allow(const std::string& route, Millis time) {
  native_->table.Allow(native_->ConnectionOf(route), route, time);
}
void ServerSocket::Dismiss(const std::string& route) { native_->table.Dismiss(native_->ConnectionOf(route), route); }
void ServerSocket::ProofFailed(const std::string& route) { native_->table.Failed(native_->ConnectionOf(route), route); }
bool ServerSocket::MayEnrol(const std::string& route) {
  return native_->table.MayEnrol(native_->ConnectionOf(route), route);
}
const std::map<TurnedAway, uint64_t>& ServerSocket::turned_away() const { return native_->table.gate().turned_away(); }
size_t ServerSocket::unproven() const { return native_->table.unproven(); }
uint64_t ServerSocket::BytesReceived(int connection) const { return TcpProgressOf(connection).received; }
uint64_t ServerSocket::BytesAcknowledged(int connection) const { return TcpProgressOf(connection).acknowledged; }
const std::string& ServerSocket::endpoint() const { return native_->endpoint; }

}  // namespace tributary

#include "protocol/transport/zmq_frames.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace tributary {

std::optional<std::vector<zmq::message_t>> Receive(zmq::socket_t& socket) {
  std::vector<zmq::message_t> frames;
  do {
    zmq::message_t frame;
    try {
      if (!socket.recv(frame, zmq::recv_flags::dontwait)) return std::nullopt;
    } catch (const zmq::error_t& failure) {
      TRIBUTARY_CHECK(failure.num() == EINTR || failure.num() == EFSM) << failure.what();
      return std::nullopt;
    }
    frames.push_back(std::move(frame));
  } while (frames.back().more());
  return frames;
}

bool SendFrames(zmq::socket_t& socket, std::initializer_list<ByteView> frames) {
  try {
    size_t left = frames.size();
    for (const ByteView frame : frames) {
      const auto flags = --left > 0 ? zmq::send_flags::sndmore | zmq::send_flags::dontwait : zmq::send_flags::dontwait;
      if (!socket.send(BufferOf(frame), flags)) return false;
    }
    return true;
  } catch (const zmq::error_t& failure) {
    TRIBUTARY_CHECK(failure.num() == EHOSTUNREACH || failure.num() == EAGAIN || failure.num() == EINTR)
        << failure.what();
    return false;
  }
}

void Configure(zmq::socket_t& socket, const TransportOptions& options) {
  constexpr int kProbes = 4;
  const auto seconds = [](Millis time) { return static_cast<int>(std::max<int64_t>(1, time.count() / 1000)); };
  // Both families; an endpoint of the older one is not changed by it.
  socket.set(zmq::sockopt::ipv6, true);
  socket.set(zmq::sockopt::tcp_keepalive, 1);
  socket.set(zmq::sockopt::tcp_keepalive_idle, seconds(options.heartbeat_interval));
  socket.set(zmq::sockopt::tcp_keepalive_intvl, seconds(options.heartbeat_timeout / kProbes));
  socket.set(zmq::sockopt::tcp_keepalive_cnt, kProbes);
  // TCP_USER_TIMEOUT: with bytes on their way there are no probes, but acknowledgements that stay away.
  socket.set(zmq::sockopt::tcp_maxrt, static_cast<int>(options.heartbeat_timeout.count()));
  socket.set(zmq::sockopt::handshake_ivl, static_cast<int>(options.handshake_timeout.count()));
  socket.set(zmq::sockopt::maxmsgsize, static_cast<int64_t>(options.max_frame_bytes));
  // Long enough for a last word (goodbye, refused) on a healthy link, short enough for an orderly shutdown.
  socket.set(zmq::sockopt::linger, 200);
}

ConnectionMonitor::ConnectionMonitor(Loop& loop, zmq::socket_t& socket, int events,
                                     std::function<void(int event, int fd)> on_event)
    : loop_(loop), socket_(socket), on_event_(std::move(on_event)) {
  static std::atomic<uint64_t> last_number = 0;
  const std::string name = "inproc://tributary-connections-" + std::to_string(++last_number);
  if (zmq_socket_monitor(socket_.handle(), name.c_str(), events) != 0) throw zmq::error_t();
  pair_ = zmq::socket_t(ContextOf(loop_), zmq::socket_type::pair);
  // libzmq's I/O thread would wait at a full queue, for this thread, which may be waiting for it.
  pair_.set(zmq::sockopt::rcvhwm, 0);
  pair_.connect(name);
  loop_.Add(*this);
}

ConnectionMonitor::~ConnectionMonitor() {
  loop_.Remove(*this);
  zmq_socket_monitor(socket_.handle(), nullptr, 0);
}

void ConnectionMonitor::OnReadable() {
  while (const auto frames = Receive(pair_)) {
    // The event's number in 16 bits and the descriptor in 32, in host order; the endpoint follows in a second frame.
    const ByteView body = View(frames->front());
    if (body.size() < sizeof(uint16_t) + sizeof(int32_t)) continue;
    uint16_t event = 0;
    int32_t value = 0;
    std::memcpy(&event, body.data(), sizeof(event));
    std::memcpy(&value, body.data() + sizeof(event), sizeof(value));
    on_event_(event, value);
  }
}

}  // namespace tributary

#include "protocol/transport/zmq_frames.h"

#include <charconv>
#include <string_view>

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

Status CheckPort(const std::string& endpoint) {
  const size_t colon = endpoint.rfind(':');
  if (colon == std::string::npos) return {};
  const std::string_view text = std::string_view(endpoint).substr(colon + 1);
  uint16_t port = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (problem != std::errc::result_out_of_range) return {};
  return Fail(Code::kInvalidArgument, endpoint + ": the port is over 65535");
}

void Configure(zmq::socket_t& socket, const TransportOptions& options) {
  socket.set(zmq::sockopt::heartbeat_ivl, static_cast<int>(options.heartbeat_interval.count()));
  socket.set(zmq::sockopt::heartbeat_timeout, static_cast<int>(options.heartbeat_timeout.count()));
  socket.set(zmq::sockopt::heartbeat_ttl,
             static_cast<int>((options.heartbeat_interval + options.heartbeat_timeout).count()));
  socket.set(zmq::sockopt::handshake_ivl, static_cast<int>(options.handshake_timeout.count()));
  socket.set(zmq::sockopt::maxmsgsize, static_cast<int64_t>(options.max_frame_bytes));
  // Long enough for a last word (goodbye, refused) on a healthy link, short enough for an orderly shutdown.
  socket.set(zmq::sockopt::linger, 200);
}

}  // namespace tributary

#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "protocol/hop/messages.h"
#include "protocol/transport/client_socket.h"
#include "tests/support/synthetic_device.h"

namespace tributary {

// One end of a hop with nothing between the test and the wire: says whatever it is told to, well formed or not.
// Everything is called from the test's thread; Receive ends at once when something comes.
class RawSession final : private ClientSocket::Handler {
 public:
  // Connects. `identity` is borrowed.
  RawSession(DeviceThread& thread, const Identity& identity, const Site::Address& server);
  ~RawSession() override;

  void Send(const hop::Message& message, ByteView bulk = {}) { SendBytes(hop::Encode(message), bulk); }
  void SendBytes(ByteView message, ByteView bulk = {});
  // The next message; nullopt after `bound`, or when the connection broke and nothing is left.
  std::optional<hop::Message> Receive(Millis bound = kPatience);

  // Hello, challenge, proof. "welcome", or why not: the code's name.
  std::string Greet();
  // Offers and sends the chunks as credit comes. "custody", "already", "closed: " and a code's name when the session
  // ended, "silence" when nothing came, else the name of the code of the refusal.
  std::string Upload(ByteView envelope, const std::vector<Bytes>& chunks);
  // The name of the code with which the server ends the session; "silence" when it does not.
  std::string Closed();

 private:
  void OnMessage(ByteView message, ByteView bulk) override;
  void OnDisconnected() override;

  DeviceThread& thread_;
  const Identity& identity_;
  Bytes server_key_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<hop::Message> came_;
  bool broken_ = false;
  uint64_t credit_ = 0;  // bytes; not used yet
  std::unique_ptr<ClientSocket> socket_;
};

}  // namespace tributary

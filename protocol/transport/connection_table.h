#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>

#include "protocol/transport/connection_gate.h"
#include "protocol/transport/tcp_connection.h"
#include "protocol/transport/transport_options.h"

// Private to this folder.
namespace tributary {

// The connections of a server socket by descriptor, and how long those that have proven nothing may stay: ends them
// when they take too long, send too much or are too many. One thread; the clock must outlive it.
class ConnectionTable {
 public:
  ConnectionTable(const Clock& clock, const TransportOptions& options)
      : clock_(clock), options_(options), gate_(clock, options.gate) {}

  void Accepted(int fd);
  void Closed(int fd);
  // The first message of this route came on it.
  void Named(int fd, const std::string& route, const Bytes& key);
  // false: it has said more than anybody needs to before the proof, and is not listened to any more.
  bool MaySay(int fd);

  // The owner's word on whoever speaks on the route; nothing happens when that is gone.
  void Admit(int fd, const std::string& route);
  void Allow(int fd, const std::string& route, Millis time);
  void Dismiss(int fd, const std::string& route);
  void Failed(int fd, const std::string& route);
  bool MayEnrol(int fd, const std::string& route);
  // To be called every second.
  void Sweep();

  ConnectionGate& gate() { return gate_; }
  size_t unproven() const { return unproven_.size(); }

 private:
  struct Connection {
    TcpPeer peer;
    std::string route;  // empty: no message came yet
    Bytes key;
    uint64_t number = 0;    // in the order in which they came
    Millis until{0};        // unproven: when it is cut
    uint64_t received = 0;  // bytes, when its time began
    int messages = 0;       // of an unproven one
    bool admitted = false;
    bool over = false;  // was told that it is, and is cut when its last word has left
  };

  Connection* Find(int fd, const std::string& route);

  const Clock& clock_;
  TransportOptions options_;
  ConnectionGate gate_;
  std::unordered_map<int, Connection> connections_;
  std::map<uint64_t, int> unproven_;  // descriptors by number: the oldest first
  uint64_t last_number_ = 0;
};

}  // namespace tributary

#include "protocol/transport/connection_table.h"

namespace tributary {
namespace {

// Enough for hello and proof, or hello and enrol, and some that go wrong.
constexpr int kMessagesBeforeProof = 16;
// In this time the word that says why gets through, and the peer closes the connection itself.
constexpr Millis kGrace{1'000};

}  // namespace

void ConnectionTable::Accepted(int fd) {
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

void ConnectionTable::Closed(int fd) {
  const auto found = connections_.find(fd);
  if (found == connections_.end()) return;
  gate_.Disconnected(found->second.peer.address);
  unproven_.erase(found->second.number);
  connections_.erase(found);
}

void ConnectionTable::Named(int fd, const std::string& route, const Bytes& key) {
  const auto found = connections_.find(fd);
  if (found == connections_.end()) return;
  found->second.route = route;
  found->second.key = key;
  // An earlier connection under this number may have proven itself; this one has not.
  if (std::exchange(found->second.admitted, false)) unproven_.emplace(found->second.number, fd);
}

bool ConnectionTable::MaySay(int fd) {
  const auto found = connections_.find(fd);
  if (found == connections_.end() || found->second.admitted) return true;
  return ++found->second.messages <= kMessagesBeforeProof;
}

void ConnectionTable::Admit(int fd, const std::string& route) {
  Connection* connection = Find(fd, route);
  if (!connection) return;
  gate_.Proved(connection->key);
  connection->admitted = true;
  unproven_.erase(connection->number);
}

void ConnectionTable::Allow(int fd, const std::string& route, Millis time) {
  if (Connection* connection = Find(fd, route)) connection->until = clock_.Monotonic() + time;
}

void ConnectionTable::Dismiss(int fd, const std::string& route) {
  Connection* connection = Find(fd, route);
  if (!connection) return;
  if (std::exchange(connection->admitted, false)) connection->messages = 0;
  connection->over = true;
  connection->until = clock_.Monotonic() + kGrace;
  unproven_.emplace(connection->number, fd);
}

void ConnectionTable::Failed(int fd, const std::string& route) {
  if (const Connection* connection = Find(fd, route)) gate_.Failed(connection->peer.address, connection->key);
}

bool ConnectionTable::MayEnrol(int fd, const std::string& route) {
  const Connection* connection = Find(fd, route);
  return connection && gate_.MayEnrol(connection->peer.address);
}

void ConnectionTable::Sweep() {
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

ConnectionTable::Connection* ConnectionTable::Find(int fd, const std::string& route) {
  const auto found = connections_.find(fd);
  return found != connections_.end() && found->second.route == route ? &found->second : nullptr;
}

}  // namespace tributary

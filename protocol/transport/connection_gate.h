#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/recent.h"
#include "protocol/base/token_bucket.h"

namespace tributary {

// The reason why a connection was ended, or a request put off, before anybody had proven anything on it.
enum class TurnedAway : uint8_t {
  kAddressFull,     // its address has all the connections that one may have
  kAddressTooFast,  // its address connects too often
  kAddressFailed,   // too many proofs failed that came from its address, and its key has proven nothing yet
  kKeyTooFast,      // its key shakes hands too often
  kKeyFailed,       // its key failed its proof again and again
  kGaveWay,         // there were too many unproven ones, and it was the oldest
  kTooSlow,         // it did not prove itself in time
  kTooMuch,         // it sent more than a proof needs
  kEnrolsTooFast,   // its address asks for certificates too often
};
// "address-full", … for metrics and logs: in this order.
std::string_view TurnedAwayName(TurnedAway reason);

// How much of a server unproven peers may take. An address is an IPv4 address or the first 64 bits of an IPv6 one, the
// range that one customer has. Behind one address (a NAT, the loopback) a whole fleet may live, so the limits by address are
// generous: they keep an attacker from having everything rather than from having much. A key that has proven itself
// never pays for its neighbours.
struct GateOptions {
  // Each costs the server a descriptor and about 40 KB. As many as a gateway has sessions.
  size_t connections_per_address = 20'000;
  // A fleet that lost its server comes back at once (the burst); from then on 500 a second cost a core about 15 % when
  // all of them finish the CURVE handshake (bench_handshake).
  Rate connects_per_address{500, 20'000};
  // A client that works has a handshake now and then; a broken link makes it come back with backoff.
  Rate handshakes_per_key{1, 60};
  // A wrong proof costs a verified chain and signature, about half a millisecond: at most a twentieth of a core.
  Rate failures_per_address{100, 1'000};
  Rate failures_per_key{0.1, 10};
  // A new request for a certificate costs the aggregator a signature and a transaction. At once an address may have
  // fewer than a gateway passes on at once (EnrolmentRelay), so that one does not keep the others waiting.
  Rate enrolments_per_address{10, 60};
  // Addresses and keys that are remembered, of each; about 150 bytes each. The one that was heard of the longest time
  // ago is forgotten first, which forgives it.
  size_t remembered = 32'768;
};

// Decides who may go on, by address and CURVE key, which are known before the proof. Only counts: the owner disconnects
// those who are turned away. One thread; the clock must outlive it.
class ConnectionGate {
 public:
  ConnectionGate(const Clock& clock, GateOptions options)
      : clock_(clock), options_(options), addresses_(options.remembered), keys_(options.remembered) {}

  // A TCP connection came. nullopt: it may go on; also when not, Disconnected must follow.
  std::optional<TurnedAway> Connected(const std::string& address);
  void Disconnected(const std::string& address);
  // It finished its CURVE handshake, so it holds the secret to `key`.
  std::optional<TurnedAway> Handshaken(const std::string& address, ByteView key);
  // After that, its proof was wrong; or it was a member's.
  void Failed(const std::string& address, ByteView key);
  void Proved(ByteView key);
  // Somebody there asks for a certificate. false: too often, which is counted; it keeps its connection.
  bool MayEnrol(const std::string& address);

  // Counts one that the owner turns away itself.
  void Count(TurnedAway reason) { ++turned_away_[reason]; }
  const std::map<TurnedAway, uint64_t>& turned_away() const { return turned_away_; }

 private:
  struct Address {
    TokenBucket connects, failures, enrolments;
  };
  struct Key {
    TokenBucket handshakes, failures;
    bool proved = false;
  };

  Address& AddressOf(const std::string& address);
  Key& KeyOf(ByteView key);
  std::optional<TurnedAway> TurnAway(TurnedAway reason);

  const Clock& clock_;
  GateOptions options_;
  std::unordered_map<std::string, size_t> connections_;  // of each address that has some now
  Recent<Address> addresses_;
  Recent<Key> keys_;
  std::map<TurnedAway, uint64_t> turned_away_;
};

}  // namespace tributary

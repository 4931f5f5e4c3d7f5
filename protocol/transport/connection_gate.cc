#include "protocol/transport/connection_gate.h"

namespace tributary {

std::string_view TurnedAwayName(TurnedAway reason) {
  constexpr std::string_view kNames[] = {"address-full", "address-too-fast", "address-failed",
                                         "key-too-fast", "key-failed",       "gave-way",
                                         "too-slow",     "too-much",         "enrols-too-fast"};
  return kNames[static_cast<size_t>(reason)];
}

std::optional<TurnedAway> ConnectionGate::Connected(const std::string& address) {
  const size_t now_open = ++connections_[address];
  if (now_open > options_.connections_per_address) return TurnAway(TurnedAway::kAddressFull);
  const bool in_time = AddressOf(address).connects.Take(options_.connects_per_address, clock_.Monotonic());
  if (!in_time) return TurnAway(TurnedAway::kAddressTooFast);
  return std::nullopt;
}

void ConnectionGate::Disconnected(const std::string& address) {
  const auto found = connections_.find(address);
  if (found != connections_.end() && --found->second == 0) connections_.erase(found);
}

std::optional<TurnedAway> ConnectionGate::Handshaken(const std::string& address, ByteView key) {
  const Millis now = clock_.Monotonic();
  Key& known = KeyOf(key);
  if (!known.handshakes.Take(options_.handshakes_per_key, now)) return TurnAway(TurnedAway::kKeyTooFast);
  if (!known.failures.Has(options_.failures_per_key, now)) return TurnAway(TurnedAway::kKeyFailed);
  if (known.proved) return std::nullopt;
  const bool forgiven = AddressOf(address).failures.Has(options_.failures_per_address, now);
  if (!forgiven) return TurnAway(TurnedAway::kAddressFailed);
  return std::nullopt;
}

void ConnectionGate::Failed(const std::string& address, ByteView key) {
  const Millis now = clock_.Monotonic();
  Key& known = KeyOf(key);
  known.proved = false;
  (void)known.failures.Take(options_.failures_per_key, now);
  (void)AddressOf(address).failures.Take(options_.failures_per_address, now);
}

void ConnectionGate::Proved(ByteView key) { KeyOf(key).proved = true; }

bool ConnectionGate::MayEnrol(const std::string& address) {
  const bool in_time = AddressOf(address).enrolments.Take(options_.enrolments_per_address, clock_.Monotonic());
  if (!in_time) Count(TurnedAway::kEnrolsTooFast);
  return in_time;
}

ConnectionGate::Address& ConnectionGate::AddressOf(const std::string& address) {
  const Millis now = clock_.Monotonic();
  return addresses_.FindOrMake(
      address, {TokenBucket(options_.connects_per_address, now), TokenBucket(options_.failures_per_address, now),
                TokenBucket(options_.enrolments_per_address, now)});
}

ConnectionGate::Key& ConnectionGate::KeyOf(ByteView key) {
  const Millis now = clock_.Monotonic();
  return keys_.FindOrMake(std::string(AsText(key)),
                          {TokenBucket(options_.handshakes_per_key, now), TokenBucket(options_.failures_per_key, now)});
}

std::optional<TurnedAway> ConnectionGate::TurnAway(TurnedAway reason) {
  Count(reason);
  return reason;
}

}  // namespace tributary

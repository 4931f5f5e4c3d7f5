#include "protocol/hop/server/server_options.h"

#include <algorithm>
#include <cmath>

#include "protocol/base/process/config.h"

namespace tributary {
namespace {

void ReadCount(ConfigReader& reader, std::string_view key, size_t& count, int64_t min, int64_t max) {
  auto value = static_cast<int64_t>(count);
  reader.Get(key, value, min, max);
  count = static_cast<size_t>(value);
}

// Reads how many are allowed in a minute; as many as come in `seconds_at_once` may come together.
void ReadPerMinute(ConfigReader& reader, std::string_view key, Rate& rate, double seconds_at_once, int64_t min,
                   int64_t max) {
  int64_t value = std::llround(rate.per_second * 60);
  reader.Get(key, value, min, max);
  rate.per_second = static_cast<double>(value) / 60;
  rate.burst = std::max(1.0, rate.per_second * seconds_at_once);
}

// From connecting to the proof. CURVE's handshake comes first and the hop's after it: each has half of it.
// Our own clients take ten seconds at most (HopClient::Options), so more than the default is for others.
void ReadHandshakeTime(ConfigReader& reader, HopServerOptions& options) {
  int64_t seconds = options.transport.unproven_timeout.count() / 1'000;
  reader.Get("limits.handshake_seconds", seconds, 4, 60);
  options.transport.unproven_timeout = Millis(seconds * 1'000);
  options.transport.handshake_timeout = options.transport.unproven_timeout / 2;
  options.proof_timeout = options.transport.unproven_timeout / 2;
}

}  // namespace

void ReadLimits(ConfigReader& reader, HopServerOptions& options) {
  TransportOptions& transport = options.transport;
  GateOptions& gate = transport.gate;
  ReadCount(reader, "limits.connections_per_address", gate.connections_per_address, 1, 1'000'000);
  auto per_second = static_cast<int64_t>(gate.connects_per_address.per_second);
  reader.Get("limits.new_connections_per_address_per_second", per_second, 1, 100'000);
  // All that an address may have may come at once: a site that lost its server.
  gate.connects_per_address = {static_cast<double>(per_second), static_cast<double>(gate.connections_per_address)};
  // Fewer than a handful, and good members push each other out.
  ReadCount(reader, "limits.unproven_connections", transport.max_unproven, 16, 100'000);
  ReadCount(reader, "limits.unproven_sessions", options.max_unproven, 16, 100'000);
  ReadHandshakeTime(reader, options);
  ReadPerMinute(reader, "limits.handshakes_per_key_per_minute", gate.handshakes_per_key, 60, 6, 60'000);
  ReadPerMinute(reader, "limits.failed_proofs_per_address_per_minute", gate.failures_per_address, 10, 6, 600'000);
  // At least one a second, so that nobody meets it alone.
  ReadPerMinute(reader, "limits.enrolments_per_address_per_minute", gate.enrolments_per_address, 6, 60, 600'000);
}

std::string LimitsManual() {
  return R"(  limits.…                    what those who have proven nothing may take: more for large sites behind one address,
                              less for small machines. An address is an IPv4 one, or the first 64 bits of an IPv6 one;
                              the metric …_turned_away_total says how often which limit was met
  limits.connections_per_address
                              at once, those of members too                              [20000]
  limits.new_connections_per_address_per_second
                              on average; at once, as many as it may have                [500]
  limits.unproven_connections over all addresses, 40 KB each; the oldest gives way       [4096]
  limits.unproven_sessions    greeted and not proven yet; the oldest gives way           [1000]
  limits.handshake_seconds    from connecting to the proof; clients give up after 10     [20]
  limits.handshakes_per_key_per_minute
                              one member's reconnections                                 [60]
  limits.failed_proofs_per_address_per_minute
                              beyond it, only keys that have proven themselves get in    [6000]
  limits.enrolments_per_address_per_minute
                              by applicants without a certificate; the others come later [600])";
}

}  // namespace tributary

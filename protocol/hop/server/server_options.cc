#include "protocol/hop/server/server_options.h"

#include <algorithm>
#include <cmath>

#include "protocol/base/process/config.h"

namespace tributary {
namespace {

// A rate as its key says it: so many a minute.
int64_t PerMinute(const Rate& rate) { return std::llround(rate.per_second * 60); }

// Those of `seconds_at_once` may come together.
Rate RateOf(int64_t per_minute, double seconds_at_once) {
  const double per_second = static_cast<double>(per_minute) / 60;
  return {per_second, std::max(1.0, per_second * seconds_at_once)};
}

// The keys of [limits] in their own units, made from a server's options and written back to them.
struct Limits {
  uint64_t connections, unproven_connections, unproven_sessions;
  int64_t connects_per_second, handshake_seconds, handshakes, failed_proofs, enrolments;

  explicit Limits(const HopServerOptions& options)
      : connections(options.transport.gate.connections_per_address),
        unproven_connections(options.transport.max_unproven),
        unproven_sessions(options.max_unproven),
        connects_per_second(static_cast<int64_t>(options.transport.gate.connects_per_address.per_second)),
        handshake_seconds(options.transport.unproven_timeout.count() / 1'000),
        handshakes(PerMinute(options.transport.gate.handshakes_per_key)),
        failed_proofs(PerMinute(options.transport.gate.failures_per_address)),
        enrolments(PerMinute(options.transport.gate.enrolments_per_address)) {}

  std::vector<Field> Fields();
  void WriteTo(HopServerOptions& options) const;
};

std::vector<Field> Limits::Fields() {
  return {
      {"connections_per_address", &connections,
       "most connections of one address at once, those of members too. An address is an IPv4 one, or the first 64 "
       "bits of an IPv6 one. Give more to a large site behind one address; the metric …_turned_away_total says how "
       "often a limit was met",
       Between(1, 1'000'000)},
      {"new_connections_per_address_per_second", &connects_per_second,
       "most new connections of one address on average; all that it may have may come at once", Between(1, 100'000)},
      // With fewer than a handful, good members would push each other out.
      {"unproven_connections", &unproven_connections,
       "most connections over all addresses that have not proven who they are, 40 KB each; the oldest gives way",
       Between(16, 100'000)},
      {"unproven_sessions", &unproven_sessions,
       "most sessions that have greeted and not proven yet who they are; the oldest gives way", Between(16, 100'000)},
      {"handshake_seconds", &handshake_seconds, "longest time from connecting to the proof; clients give up after 10 s",
       Between(4, 60), "s"},
      {"handshakes_per_key_per_minute", &handshakes, "most reconnections of one member", Between(6, 60'000)},
      {"failed_proofs_per_address_per_minute", &failed_proofs,
       "most failed proofs; beyond them only keys that have proven themselves get in", Between(6, 600'000)},
      // At least one a second, so that nobody meets the limit alone.
      {"enrolments_per_address_per_minute", &enrolments,
       "most requests of applicants without a certificate; the others come later", Between(60, 600'000)},
  };
}

void Limits::WriteTo(HopServerOptions& options) const {
  TransportOptions& transport = options.transport;
  GateOptions& gate = transport.gate;
  gate.connections_per_address = connections;
  // All that an address may have may come at once: a site that lost its server.
  gate.connects_per_address = {static_cast<double>(connects_per_second), static_cast<double>(connections)};
  transport.max_unproven = unproven_connections;
  options.max_unproven = unproven_sessions;
  // CURVE's handshake comes first and the hop's after it: each has half of the time. Our own clients take ten seconds at
  // most (HopClient::Options), so more than the default is for others.
  transport.unproven_timeout = Millis(handshake_seconds * 1'000);
  transport.handshake_timeout = transport.unproven_timeout / 2;
  options.proof_timeout = transport.unproven_timeout / 2;
  gate.handshakes_per_key = RateOf(handshakes, 60);
  gate.failures_per_address = RateOf(failed_proofs, 10);
  gate.enrolments_per_address = RateOf(enrolments, 6);
}

}  // namespace

void ReadLimits(ConfigReader& reader, HopServerOptions& options) {
  Limits limits(options);
  reader.Read(limits.Fields(), "limits");
  limits.WriteTo(options);
}

std::string LimitsManual() { return FieldsManual(Limits(HopServerOptions()).Fields(), "limits"); }

}  // namespace tributary

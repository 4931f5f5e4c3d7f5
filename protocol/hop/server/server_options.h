#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "protocol/hop/handshake.h"
#include "protocol/transport/transport_options.h"

namespace tributary {

class ConfigReader;

// How a hop server limits its clients. Value type.
struct HopServerOptions {
  std::string endpoint;                              // tcp://host:port
  uint64_t credit_bytes = 64 * limits::kMiB;         // chunk bytes under way, all connections together
  uint64_t session_credit_bytes = 2 * limits::kMiB;  // chunk bytes under way on one connection
  uint32_t max_chunk_bytes = limits::kMaxChunkBytes;
  size_t max_sessions = 20'000;  // proven
  // Sessions that were greeted and have proven nothing, apart from those; under 1 KB each. The oldest gives way. At
  // 500 handshakes a second (GateOptions) each has two seconds.
  size_t max_unproven = 1'000;
  // A proof is at most four certificates of 8 KiB and a signature, a request for a certificate 32 KiB.
  size_t max_unproven_message = 48 * limits::kKiB;
  // How often a member may say something, chunks apart, which credit bounds. A device has one upload of ten messages
  // under way, or a thousand telemetry uploads after an outage; a gateway brings those of a site.
  Rate member_messages{1'000, 5'000};
  Rate gateway_messages{20'000, 50'000};
  // Bytes that a member has asked for and not received yet, in this server's memory: beyond that it gets no pieces and
  // no publication. A member that works has one piece of 256 KiB of each blob, or a publication of 2 MiB, on its way.
  uint64_t max_unread_bytes = 8 * limits::kMiB;
  // A member is not given the same publication twice in so long: it is up to 2 MiB.
  Millis publication_again{5'000};
  // How often all sessions are searched for members whose certificates ended meanwhile; also when a publication comes,
  // with which revocations come. It takes a microsecond for each.
  Millis standing_interval{30'000};
  size_t max_session_uploads = 64;  // offered and not yet in custody, on one connection
  // Requests for certificates that wait for their answer: of one member (a gateway brings those of a whole site), and
  // of applicants, who hold a session each meanwhile.
  size_t max_session_enrolments = 64;
  // How often a member may ask for certificates, over all its connections: a device for its own, a gateway for those of
  // a site. The aggregator decides 50 new ones a second in all, so one member cannot starve the others.
  Rate member_enrolments{0.2, 8};
  Rate gateway_enrolments{20, 256};
  Millis enrolment_timeout{30'000};  // from an applicant's request to its answer
  // When those who ask too often may ask again (also GateOptions::enrolments_per_address). Spread, so that
  // all of a site behind one address have the same chance until they are through.
  RetryWindow enrolment_later{Millis(5'000), Millis(30'000)};
  // Pending requests that are remembered, about 200 bytes each: an applicant that was told to ask again, and does so no
  // earlier, meets no rate.
  size_t remembered_applicants = 32'768;
  Millis proof_timeout{10'000};  // from hello to proof
  // Credit that others wait for and that is not used for this long, with no chunk in the middle of arriving: closes
  // the connection.
  Millis chunk_timeout{60'000};
  // Nothing heard and nothing arriving, unless check-ins are rarer than a third of it.
  Millis session_timeout{180'000};
  // How often a member checks in: at least this long between two, and devices so rarely that all of them together ask
  // this often. 50 a second cost a server about half a percent of a core.
  Millis check_in_interval{15'000};
  uint32_t check_ins_per_second = 50;
  hop::VersionRange versions{};
  TransportOptions transport{};
};

// Reads the table [limits] of a configuration file, alike at every hop server: how much those who have proven nothing
// may take of it. `options` are the defaults. Bad values become problems of their keys.
void ReadLimits(ConfigReader& reader, HopServerOptions& options);

// Its part of --help.
std::string LimitsManual();

}  // namespace tributary

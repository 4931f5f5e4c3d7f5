#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "protocol/base/file.h"
#include "protocol/base/ids.h"
#include "protocol/hop/client/courier.h"
#include "protocol/spool/spool_account.h"

namespace tributary {

// What a device tells its monitoring. It has no port of its own: the text goes into a file that node_exporter's
// textfile collector, or anything else that reads the Prometheus text format, picks up. Value type.
struct AgentMetrics {
  DeviceId device;
  SpoolAccount outbox;
  uint64_t outbox_limit_bytes = 0;
  Status outbox_health;
  Courier::Counts sent;
  std::map<LinkPurpose, LinkBytes> link;
  uint64_t publication_number = 0;
  std::map<Code, uint64_t> publications_rejected;  // since the start
  bool withheld = false;                           // something stands in the way of installing what is published
  uint64_t made_again = 0;                         // since the start
  WallTime certificate_ends;                       // 0: not known
  bool connected = false;
  uint64_t sessions = 0;     // since the start
  uint64_t fits = 0;         // finished, since the start
  uint64_t fits_failed = 0;  // since the start
  WallTime now;
};

std::string RenderMetrics(const AgentMetrics& metrics);

}  // namespace tributary

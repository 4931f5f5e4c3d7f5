#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/hop/server/server.h"

namespace tributary {

// One connection as the server sees it. Between the server's .cc files only.
struct HopServer::Session {
  // An upload whose chunks are under way.
  struct Active {
    UploadHeader header;
    uint32_t next_chunk = 0;  // the one that must come now
    bool in_process = false;  // the one before is not safe yet
  };

  Route route;
  uint64_t serial = 0;  // tells this session from a later one with the same route
  Bytes curve_public_key;
  Bytes transcript;  // that the proof must sign
  int connection = -1;
  bool proven = false;
  std::optional<TokenBucket> messages;            // of a member
  uint64_t sent = 0;                              // bytes queued for it in this session
  std::pair<uint64_t, uint64_t> published{0, 0};  // root version and number of the publication it was given last …
  Millis published_at{0};                         // … then
  bool carrier = false;                           // of the server's own identity
  VerifiedIdentity member;
  Millis last_heard{0};
  Millis check_in{0};                // how often it was told to check in
  uint64_t received = 0;             // bytes that had come when it was last found silent …
  uint64_t received_at_message = 0;  // … and when the last whole message came
  uint64_t granted = 0;              // credit given and not used yet, bytes
  Millis granted_since{0};           // when credit came to be there, or was last used
  uint64_t in_process = 0;           // received and not taken by the sink yet, bytes
  bool waiting = false;              // in the queue for credit
  size_t enrolments = 0;             // requests for certificates that wait for their answer
  std::map<UploadId, Active> active;
  std::vector<UploadId> offered;  // all that await custody or an answer
};

}  // namespace tributary

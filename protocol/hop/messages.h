#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/hop/gateway_state.h"

// The messages of schema/hop.capnp as plain values; the prose is there.
namespace tributary {

// When to try again: uniformly between the two.
struct RetryWindow {
  Millis min{0};
  Millis max{0};
  bool operator==(const RetryWindow&) const = default;
};

struct Refusal {
  Code code = Code::kMalformed;
  std::string sentence;
  RetryWindow retry;
  bool operator==(const Refusal&) const = default;
};

// The answer to a request for a certificate.
struct EnrolmentAnswer {
  enum class Kind : uint8_t {
    kIssued = 1,   // `chain`, leaf first
    kPending = 2,  // an operator has to decide, or the way up is closed: ask again within refusal.retry
    kRefused = 3,  // `refusal` says why; permanent codes are final
  };
  Kind kind = Kind::kRefused;
  std::vector<Bytes> chain;
  Refusal refusal;
  bool operator==(const EnrolmentAnswer&) const = default;
};

namespace hop {

// Version 1 was never released: its proof did not cover the greeting.
inline constexpr uint16_t kProtocolVersion = 2;

struct Hello {
  uint16_t min_version = kProtocolVersion, max_version = kProtocolVersion;
  Bytes nonce = {};  // 32 bytes; decodes without one, since version 1 had none
  bool operator==(const Hello&) const = default;
};
struct Challenge {
  uint16_t version = kProtocolVersion;
  Bytes nonce;
  std::vector<Bytes> chain;
  uint16_t min_version = kProtocolVersion, max_version = kProtocolVersion;
  bool operator==(const Challenge&) const = default;
};
struct Proof {
  std::vector<Bytes> chain;
  Bytes signature;
  bool operator==(const Proof&) const = default;
};
// A server says these in its welcome and with every answer to a check-in.
struct Terms {
  uint64_t publication_number = 0;
  uint32_t check_in_millis = 0;        // how often to check in; 0: as the client likes
  std::vector<DeviceId> path = {};     // from the server up to the aggregator, as far as it knows
  std::vector<Bytes> next_chain = {};  // the server will show it from some day on; empty: no change is near
  bool operator==(const Terms&) const = default;
};
struct Welcome : Terms {
  DeviceId server = {};
  bool operator==(const Welcome&) const = default;
};
struct Refused {
  Refusal refusal;
  bool operator==(const Refused&) const = default;
};
struct CheckIn {
  uint64_t publication_number = 0;
  std::string device_class;
  uint64_t spooled_uploads = 0, spooled_bytes = 0, delivered_uploads = 0;
  uint32_t connected_clients = 0;
  std::vector<GatewayState> reports = {};  // from a gateway: its own first, then those of gateways below it
  uint64_t root_version = 0;               // of the publication held
  int64_t clock_unix_millis = 0;           // the member's own; 0: it knows that its clock is wrong
  Bytes publication = {};                  // the one held, when the server asked for it
  std::optional<Digest> publication_digest = {};
  bool operator==(const CheckIn&) const = default;
};
struct Assignment : Terms {
  Bytes publication = {};  // signed; empty when the client's is the newest
  bool wants_publication = false;
  bool operator==(const Assignment&) const = default;
};
struct Offer {
  Bytes envelope;
  bool operator==(const Offer&) const = default;
};
struct Resume {
  UploadId upload;
  uint32_t next_chunk = 0;
  bool operator==(const Resume&) const = default;
};
struct Already {
  UploadId upload;
  bool operator==(const Already&) const = default;
};
struct Refuse {
  UploadId upload;
  Refusal refusal;
  bool operator==(const Refuse&) const = default;
};
struct Chunk {
  UploadId upload;
  uint32_t index = 0;
  bool operator==(const Chunk&) const = default;
};  // bulk: ciphertext
struct Credit {
  uint64_t bytes = 0;
  std::optional<UploadId> upload = {};  // of this one every chunk before `next_chunk` is safe
  uint32_t next_chunk = 0;
  bool operator==(const Credit&) const = default;
};
struct Custody {
  UploadId upload;
  bool operator==(const Custody&) const = default;
};
struct Fetch {
  Digest digest;
  uint64_t offset = 0;
  uint32_t size = 0;
  bool doubted = false;
  bool operator==(const Fetch&) const = default;
};
struct Piece {
  Digest digest;
  uint64_t offset = 0;
  uint64_t blob_size = 0;
  bool operator==(const Piece&) const = default;
};  // bulk: bytes
struct FetchRefused {
  Digest digest;
  Refusal refusal;
  bool operator==(const FetchRefused&) const = default;
};
struct Notice {
  uint64_t publication_number = 0;
  bool operator==(const Notice&) const = default;
};
struct Goodbye {
  bool operator==(const Goodbye&) const = default;
};
struct Enrol {
  Bytes request;  // sealed
  bool operator==(const Enrol&) const = default;
};
struct EnrolAnswer {
  Digest request;  // of the sealed request
  EnrolmentAnswer answer;
  bool operator==(const EnrolAnswer&) const = default;
};

using Message =
    std::variant<Hello, Challenge, Proof, Welcome, Refused, CheckIn, Assignment, Offer, Resume, Already, Refuse, Chunk,
                 Credit, Custody, Fetch, Piece, FetchRefused, Notice, Goodbye, Enrol, EnrolAnswer>;

Bytes Encode(const Message& message);
// kMalformed: not a message, an id or digest of the wrong length, a code or union member this version does not know.
// kTooLarge: over limits::kHopMessageBytes, or a part over its own limit.
Result<Message> Decode(ByteView bytes);

// No server puts its client off for longer than `most`: shortens every RetryWindow of the message.
void CapRetry(Message& message, Millis most);

// The purpose that a message's bytes are counted under.
LinkPurpose PurposeOf(const Message& message);

// kUpstreamCycle, with a sentence that names the loop, when `member`, whose server's path this is, is in it.
Status CheckPath(const DeviceId& member, std::span<const DeviceId> path);

}  // namespace hop
}  // namespace tributary

#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "protocol/base/ids.h"
#include "protocol/spool/spool_account.h"

namespace tributary {

// The purpose of bytes on a link, as schema/hop.capnp groups the messages.
enum class LinkPurpose : uint8_t { kUploads = 1, kBlobs = 2, kPublication = 3, kControl = 4 };
inline constexpr std::array kLinkPurposes = {LinkPurpose::kUploads, LinkPurpose::kBlobs, LinkPurpose::kPublication,
                                             LinkPurpose::kControl};
// As the API, the command line and the metrics call it.
constexpr std::string_view PurposeName(LinkPurpose purpose) {
  constexpr std::string_view kNames[] = {"uploads", "blobs", "publication", "control"};
  return kNames[static_cast<size_t>(purpose) - 1];
}

// Bytes of messages and bulk frames since the process started, seen from the end that counts them: `up` towards the
// aggregator. Without what CURVE, TCP and IP add.
struct LinkBytes {
  uint64_t up = 0;
  uint64_t down = 0;
  uint64_t resent = 0;  // the part of `up` that had been sent before
  bool operator==(const LinkBytes&) const = default;
};

// A gateway's account of itself for the operator's list; the fields' prose is in schema/hop.capnp. Comes from outside
// and is not signed: for people, nothing may be decided by it. Value type.
struct GatewayState {
  DeviceId gateway;
  DeviceId parent;  // filled in by the server it checked in with; empty until then
  uint64_t publication_number = 0;
  uint64_t spool_bytes = 0, spool_limit_bytes = 0;
  uint64_t disk_free_bytes = 0, disk_total_bytes = 0;
  uint64_t dead_letters = 0;
  int64_t oldest_spooled_millis = 0;  // age; 0: none waits
  uint32_t connected_clients = 0;
  std::map<LinkPurpose, LinkBytes> uplink = {};
  std::array<KindAccount, std::size(kUploadKinds)> accounts = {};  // in the order of kUploadKinds
  std::string trouble = {};                                        // "code: sentence", or empty
  uint64_t age_millis = 0;
  bool operator==(const GatewayState&) const = default;
};

}  // namespace tributary

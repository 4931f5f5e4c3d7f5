#pragma once

#include "protocol/base/clock.h"
#include "protocol/trust/tuf/canonical_json.h"

// What the metadata of every role begins with, as JSON and back: _type, spec_version, version and expires. For the .cc
// files of this folder.
namespace tributary::tuf {

Json::Object HeadToJson(std::string_view type, uint64_t version, WallTime expires);

struct Head {
  uint64_t version = 0;
  WallTime expires;
};
// kMalformed, also another type; kVersionUnsupported.
Result<Head> HeadFromJson(const Json& from, std::string_view type);

// The body's own.
template <class Body>
Json::Object HeadOf(const Body& body) {
  return HeadToJson(Body::kType, body.version, body.expires);
}
template <class Body>
Status ReadHead(const Json& from, Body& to) {
  ASSIGN_OR_RETURN(const Head head, HeadFromJson(from, Body::kType));
  to.version = head.version;
  to.expires = head.expires;
  return {};
}

}  // namespace tributary::tuf

#pragma once

#include "protocol/trust/tuf/canonical_json.h"
#include "protocol/trust/tuf/metadata.h"

// Metadata's values as JSON and back, for the .cc files of this folder. Reading checks the form of every field and
// passes over those it does not know. kMalformed, kVersionUnsupported.
namespace tributary::tuf {

Json ToJson(const Root& root);
Json ToJson(const Timestamp& timestamp);
Json ToJson(const Snapshot& snapshot);
Json ToJson(const Targets& targets);

Status FromJson(const Json& from, Root& to);
Status FromJson(const Json& from, Timestamp& to);
Status FromJson(const Json& from, Snapshot& to);
Status FromJson(const Json& from, Targets& to);

Json ToJson(const std::vector<Signature>& signatures);
Result<std::vector<Signature>> SignaturesFromJson(const Json* from);

}  // namespace tributary::tuf

#pragma once

#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "protocol/base/result.h"
#include "protocol/trust/tuf/roles.h"

// The values of roles.h as JSON and back; who reads and writes whole files uses metadata.h. Reading checks the form of
// every field and passes over those it does not know.
namespace tributary::tuf {

nlohmann::json ToJson(const Key& key);
nlohmann::json ToJson(const Root& root);
nlohmann::json ToJson(const Timestamp& timestamp);
nlohmann::json ToJson(const Snapshot& snapshot);
nlohmann::json ToJson(const Targets& targets);
nlohmann::json ToJson(const std::vector<Signature>& signatures);

// `to` is empty. kMalformed names the field; kVersionUnsupported: a spec_version other than 1.0.x.
Status FromJson(const nlohmann::json& from, Root& to);
Status FromJson(const nlohmann::json& from, Timestamp& to);
Status FromJson(const nlohmann::json& from, Snapshot& to);
Status FromJson(const nlohmann::json& from, Targets& to);
// The member "signatures" of a file. kTooLarge: more than limits::kMetadataSignatures.
Status FromJson(const nlohmann::json& file, std::vector<Signature>& to);

}  // namespace tributary::tuf

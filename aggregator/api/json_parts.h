#pragma once

#include <nlohmann/json.hpp>

#include "aggregator/registry/records.h"
#include "protocol/envelope/envelope.h"

// What the bodies of several kinds of record share. Between the json_*.cc only: shows the JSON library's types.
namespace tributary {

using OrderedJson = nlohmann::ordered_json;

std::string DumpJson(const OrderedJson& json);
// One kind's account, and whether its identity holds.
OrderedJson AccountJson(UploadKind kind, const AccountRecord& account);

}  // namespace tributary

#pragma once

#include <span>
#include <string>
#include <utility>

#include "aggregator/records/records.h"
#include "protocol/envelope/envelope.h"

// Who is there and what became of what they sent, as openapi.yaml describes it.
namespace tributary {

std::string ToJson(std::span<const MemberRecord> members);
std::string ToJson(std::span<const std::pair<UploadKind, AccountRecord>> accounts);

}  // namespace tributary

#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "aggregator/api/route.h"
#include "protocol/spool/spooled_upload.h"

// The uploads that have begun to come in and are not whole, as openapi.yaml describes them.
namespace tributary {

// Called on HTTP's threads.
struct StagingParts {
  // Of one device or of all; those first that got a chunk longest ago.
  std::function<Result<std::vector<SpooledUpload>>(const std::optional<DeviceId>&)> partial;
  // Answers how many were dropped. Their senders have them.
  std::function<Result<uint64_t>(const std::optional<DeviceId>&)> drop;
};

// Adds /staging: list and drop.
void AddStagingRoutes(HttpServer& server, AuditLog& audit, const StagingParts& parts);

}  // namespace tributary

#pragma once

#include <string>

#include "aggregator/api/route.h"
#include "aggregator/records/records.h"

// Tasks and the model versions that their rounds made, as openapi.yaml describes them.
namespace tributary {

// Adds /tasks and /tasks/{task}/versions. A task's own JSON is in json_tasks.h.
void AddTaskRoutes(HttpServer& server, const ApiParts& parts);

std::string ToJson(const VersionRecord& version);

}  // namespace tributary

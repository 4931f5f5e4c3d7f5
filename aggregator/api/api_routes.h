#pragma once

#include "aggregator/api/audit_log.h"
#include "aggregator/api/core_call.h"
#include "aggregator/api/event_feed.h"
#include "aggregator/api/api_token_store.h"
#include "aggregator/round/coordinator.h"
#include "protocol/base/executor.h"
#include "protocol/base/http/http_server.h"

namespace tributary {

// What the API works on; all of it must outlive the server's Stop. The coordinator is only ever called on the core
// thread, but for reading whole blobs.
struct ApiParts {
  Executor& core;  // posts to the core thread
  Coordinator& coordinator;
  EventFeed& events;
  ApiTokenStore& tokens;
  AuditLog& audit;
  const Clock& clock;
  Millis patience{5'000};  // how long a request waits for its turn on the core thread
};

// Adds every route of openapi.yaml below /api/v1, and the guard that asks for a token and its role (api_guard.h).
// /livez, /readyz and /metrics (protocol/base/http/ops_routes.h) are the only routes open to everybody. Shutdown:
// events.Close(), then the server's Stop, and only then the core thread's end, or requests wait for their patience.
void AddApiRoutes(HttpServer& server, const ApiParts& parts);

// The parts of it, one file each.
void AddTaskRoutes(HttpServer& server, const ApiParts& parts);
void AddBlobRoutes(HttpServer& server, const ApiParts& parts);
void AddRoundRoutes(HttpServer& server, const ApiParts& parts);
void AddFleetRoutes(HttpServer& server, const ApiParts& parts);
void AddGatewayRoutes(HttpServer& server, const ApiParts& parts);
void AddEventRoutes(HttpServer& server, const ApiParts& parts);
void AddAuditRoutes(HttpServer& server, const ApiParts& parts);

// The task a path names. kUnknownTask, since a name of another form cannot be one.
Result<TaskId> TaskOfPath(const HttpRequest& request);
// Items of a page of a list that is cut, when the query does not say, and the most.
inline constexpr uint64_t kDefaultPage = 100;
inline constexpr uint64_t kLargestPage = 1000;
// A number of the query, at most `max`. kInvalidArgument names it.
Result<uint64_t> QueryNumber(const HttpRequest& request, const std::string& name, uint64_t absent, uint64_t max);
// The number a path names: digits only. `missing` is the error's code otherwise.
Result<uint64_t> NumberOfPath(const HttpRequest& request, const std::string& name, Code missing);

}  // namespace tributary

#pragma once

#include <string>

#include "aggregator/api/route.h"

// The API as a whole: the routes of every resource behind one guard.
namespace tributary {

// Adds every route of openapi.yaml below /api/v1 that needs no enrolment, and the guard that asks for a token and its
// role. /livez, /readyz and /metrics (protocol/base/http/ops_routes.h), /tuf/ and the proofs of contributions
// (task_routes.h) are the only routes open to everybody.
//
// The guard: a token that is not one of ours costs its sender an attempt; an address has ten, and gets one more every
// six seconds; beyond them the answer is kTooFast. A good token is always let in, however many bad ones come from its
// address: 256 random bits are not guessed, and nobody behind a proxy can shut the others out. A caller who has a token
// but not the role is refused, and that is recorded (a minute's worth of it at most).
//
// Shutdown: events.Close(), then the server's Stop, and only then the core thread's end, or requests wait for their
// patience.
void AddApiRoutes(HttpServer& server, const ApiParts& parts);

// Adds /enrolment-tokens, /devices, /tasks/{task}/versions/{version}/spread, /gateways/{gateway}/revoke and /sealing-keys.
void AddMemberRoutes(HttpServer& server, const ApiParts& parts, const MemberParts& members);

// Every code with its sentence and remedy, as /api/v1/codes answers them.
std::string CodesToJson();

}  // namespace tributary

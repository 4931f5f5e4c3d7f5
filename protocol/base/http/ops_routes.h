#pragma once

#include <functional>
#include <string>
#include <vector>

#include "protocol/base/http/http_server.h"
#include "protocol/base/process/metrics.h"
#include "protocol/base/result.h"

namespace tributary {

// One thing that must hold before the process is of use: "uplink", "database". `check` runs on one of the server's
// threads at every question: thread safe, and quick.
struct ReadinessCheck {
  std::string name;
  std::function<Status()> check;
};

// Every process with an HTTP listener answers these without a token: /livez (200 while the process turns requests),
// /readyz (200, or 503 with every check that fails and why) and /metrics. `metrics` must outlive the server.
void AddOpsRoutes(HttpServer& server, const Metrics& metrics, std::vector<ReadinessCheck> checks);

// The gauge `name`: when the certificate that the server shows ends, in seconds since 1970; without a value when it
// shows none. `server` must outlive the last Render.
void AddCertificateExpiry(const HttpServer& server, Metrics& metrics, const std::string& name);

}  // namespace tributary

#include "protocol/base/http/ops_routes.h"

#include <memory>

#include <nlohmann/json.hpp>

namespace tributary {
namespace {

HttpResponse Readiness(const std::vector<ReadinessCheck>& checks) {
  bool ready = true;
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const auto& [name, check] : checks) {
    nlohmann::ordered_json entry = {{"name", name}};
    const Status status = check();
    entry["ok"] = status.has_value();
    if (!status) {
      ready = false;
      entry["code"] = Name(status.error().code);
      entry["why"] = status.error().message;
      entry["remedy"] = Describe(status.error().code).remedy;
    }
    list.push_back(std::move(entry));
  }
  const nlohmann::ordered_json answer = {{"ready", ready}, {"checks", std::move(list)}};
  return HttpResponse::Json(answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), ready ? 200 : 503);
}

}  // namespace

void AddOpsRoutes(HttpServer& server, const Metrics& metrics, std::vector<ReadinessCheck> checks) {
  server.Add("GET", "/livez", HttpAccess::kOpen,
             [](const HttpRequest&) -> Result<HttpResponse> { return HttpResponse::Text("alive\n"); });
  const auto shared = std::make_shared<const std::vector<ReadinessCheck>>(std::move(checks));
  server.Add("GET", "/readyz", HttpAccess::kOpen,
             [shared](const HttpRequest&) -> Result<HttpResponse> { return Readiness(*shared); });
  server.Add("GET", "/metrics", HttpAccess::kOpen, [&metrics](const HttpRequest&) -> Result<HttpResponse> {
    HttpResponse response = HttpResponse::Text(metrics.Render());
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    return response;
  });
}

void AddCertificateExpiry(const HttpServer& server, Metrics& metrics, const std::string& name) {
  metrics.Add(MetricKind::kGauge, name, "When the certificate of the HTTP server ends, in seconds since 1970",
              [&server] {
                const auto end = server.certificate_expires();
                if (!end) return MetricSamples{};
                return MetricSamples{{{}, static_cast<double>(end->unix_millis) / 1'000}};
              });
}

}  // namespace tributary

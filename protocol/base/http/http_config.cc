#include "protocol/base/http/http_config.h"

#include <arpa/inet.h>
#include <netinet/in.h>

namespace tributary {

bool IsLoopback(const std::string& host) {
  if (host == "localhost") return true;
  in_addr four{};
  if (inet_pton(AF_INET, host.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
  in6_addr six{};
  return inet_pton(AF_INET6, host.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

Status CheckHttpExposure(const HttpServer::Options& options) {
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    return Fail(Code::kConfigInvalid, "http.tls_certificate and http.tls_key go together; one of them is missing");
  }
  if (!options.tls_key.empty() || options.allow_plain || IsLoopback(options.host)) return {};
  return Fail(
      Code::kConfigInvalid,
      "plain HTTP on {} would let anybody on the way read tokens; set http.tls_certificate and http.tls_key, or "
      "listen on 127.0.0.1, or say http.allow_plain = true if something else protects the way",
      options.host);
}

std::vector<Field> HttpFields(HttpServer::Options& options, uint16_t least_port) {
  return {
      {"http.host", &options.host, "the address to listen on"},
      {"http.port", &options.port,
       least_port == 0 ? "/metrics, /livez and /readyz; 0: it does not listen" : "API, /metrics, /livez and /readyz",
       Between(least_port, 65'535)},
      {"http.tls_certificate", &options.tls_certificate,
       "PEM, leaf first: https only; renewed files are taken up without a restart"},
      {"http.tls_key", &options.tls_key, "its key, PEM, mode 0600"},
      {"http.allow_plain", &options.allow_plain, "plain http on more than loopback: others can read tokens on the way"},
  };
}

void ReadHttpOptions(ConfigReader& reader, uint16_t least_port, HttpServer::Options& options) {
  reader.Read(HttpFields(options, least_port));
  // A port of 0 is how a process is told not to listen.
  if (const Status safe = CheckHttpExposure(options); !safe && options.port != 0) {
    reader.Reject("http.host", "asks for what is not safe: " + safe.error().message);
  }
}

}  // namespace tributary

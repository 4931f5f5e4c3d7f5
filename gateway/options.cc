#include "gateway/options.h"

namespace tributary {

Result<GatewayOptions> GatewayOptions::Load(const Path& file) {
  ASSIGN_OR_RETURN(ConfigReader reader, ConfigReader::Load(file));
  GatewayOptions options;
  reader.Require("gateway.data_dir", options.data_dir);
  reader.Require("gateway.identity_dir", options.identity_dir);
  reader.Get("listen.endpoint", options.listen);
  reader.Get("listen.credit_mib", options.credit_mib, 1, 65'536);
  reader.Get("listen.max_sessions", options.max_sessions, 1, 1'000'000);
  reader.Require("upstream.endpoint", options.upstream);
  reader.Require("upstream.server_key", options.upstream_key);
  reader.Get("upstream.retry_cap_seconds", options.retry_cap_seconds, 1, 86'400);
  reader.Get("spool.max_mib", options.spool_max_mib, 1, 1'000'000'000);
  reader.Get("http.host", options.http_host);
  reader.Get("http.port", options.http_port, 0, 65'535);
  reader.GetEnum("log.level", options.log_level, {"debug", "info", "warning", "error"});
  reader.Get("log.file", options.log_file);
  const auto key = FromHex(options.upstream_key);
  if (!options.upstream_key.empty() && (!key || key->size() != 32)) {
    reader.Reject("upstream.server_key", "must be 64 hexadecimal digits, as `tributary fleet key DIR` prints them");
  }
  RETURN_IF_ERROR(reader.Finish());
  return options;
}

std::string GatewayManual() {
  return R"(Configuration keys (defaults in brackets; paths are relative to the file):
  gateway.data_dir            spool, publication and blob cache; one process at a time   (required)
  gateway.identity_dir        made by `tributary fleet issue --role gateway`             (required)
  listen.endpoint             where devices and further gateways connect                 [tcp://0.0.0.0:7100]
  listen.credit_mib           chunk bytes under way over all connections: bounds memory  [64]
  listen.max_sessions         connections at once                                        [20000]
  upstream.endpoint           the aggregator, or the next gateway                        (required)
  upstream.server_key         its key, as `tributary fleet key DIR` prints it            (required)
  upstream.retry_cap_seconds  longest pause between connection attempts                  [30]
  spool.max_mib               uploads in custody                                         [16384]
  http.host, http.port        /metrics, /livez, /readyz; port 0: off                     [127.0.0.1, 0]
  log.level, log.file         debug, info, warning, error; file empty: standard error    [info, ""]

It needs no uplink to work: it accepts, stores and serves, and catches up when the link is back.
Stop it with SIGTERM: it says goodbye to its parent and ends; what it acknowledged is on disk.

Example:
  tributary-gateway --config gateway.toml --check-config
  tributary-gateway --config gateway.toml)";
}

}  // namespace tributary

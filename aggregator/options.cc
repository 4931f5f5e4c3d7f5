#include "aggregator/options.h"

namespace tributary {

Result<AggregatorOptions> AggregatorOptions::Load(const Path& file) {
  ASSIGN_OR_RETURN(ConfigReader reader, ConfigReader::Load(file));
  AggregatorOptions options;
  reader.Require("aggregator.data_dir", options.data_dir);
  reader.Require("aggregator.identity_dir", options.identity_dir);
  reader.Require("aggregator.publisher_dir", options.publisher_dir);
  reader.Get("listen.endpoint", options.listen);
  reader.Get("listen.credit_mib", options.credit_mib, 1, 65'536);
  reader.Get("listen.max_sessions", options.max_sessions, 1, 1'000'000);
  reader.Get("intake.staging_max_mib", options.staging_max_mib, 1, 1'000'000'000);
  reader.Get("http.host", options.http_host);
  reader.Get("http.port", options.http_port, 1, 65'535);
  reader.Get("publication.lifetime_days", options.publication_days, 1, 3'650);
  reader.GetEnum("log.level", options.log_level, {"debug", "info", "warning", "error"});
  reader.Get("log.file", options.log_file);
  RETURN_IF_ERROR(reader.Finish());
  return options;
}

std::string AggregatorManual() {
  return R"(Configuration keys (defaults in brackets; paths are relative to the file):
  aggregator.data_dir         database, blobs, checkpoints, keys; one process at a time  (required)
  aggregator.identity_dir     made by `tributary fleet issue --role aggregator`          (required)
  aggregator.publisher_dir    made by `tributary fleet issue --role publisher`           (required)
  listen.endpoint             where gateways and devices connect                         [tcp://0.0.0.0:7000]
  listen.credit_mib           chunk bytes under way over all connections: bounds memory  [64]
  listen.max_sessions         connections at once                                        [20000]
  intake.staging_max_mib      uploads that are not in a checkpoint yet                   [16384]
  http.host, http.port        API, /metrics, /livez, /readyz                             [127.0.0.1, 8080]
  publication.lifetime_days   devices install nothing from an older publication          [30]
  log.level, log.file         debug, info, warning, error; file empty: standard error    [info, ""]

The API asks for a bearer token; make one (it is shown once, only its hash is kept):
  tributary-aggregator token add NAME --config aggregator.toml

For sites without a link, disks are carried by hand. The daemon runs meanwhile:
  tributary-aggregator bundle import DIR --config aggregator.toml   count what is on it; receipts go back
  tributary-aggregator bundle export DIR --config aggregator.toml   the publication with its models

Example:
  tributary-aggregator --config aggregator.toml --check-config
  tributary-aggregator --config aggregator.toml)";
}

}  // namespace tributary

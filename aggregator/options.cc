#include "aggregator/options.h"

#include "protocol/base/http/http_config.h"
#include "protocol/hop/server/server_options.h"

namespace tributary {

Result<AggregatorOptions> AggregatorOptions::Load(const Path& file) {
  ASSIGN_OR_RETURN(ConfigReader reader, ConfigReader::Load(file));
  AggregatorOptions options;
  reader.Require("aggregator.data_dir", options.data_dir);
  reader.Require("aggregator.identity_dir", options.identity_dir);
  reader.Require("aggregator.publication_dir", options.publication_dir);
  reader.Get("aggregator.issuer_dir", options.issuer_dir);
  reader.Get("aggregator.ca_revocations", options.ca_revocations);
  reader.Get("listen.endpoint", options.listen);
  reader.Get("listen.credit_mib", options.credit_mib, 1, 65'536);
  reader.Get("listen.max_sessions", options.max_sessions, 1, 1'000'000);
  ReadLimits(reader, options.hop);
  reader.Get("intake.staging_max_mib", options.staging_max_mib, 1, 1'000'000'000);
  ReadHttpOptions(reader, 1, options.http);
  reader.Get("publication.lifetime_days", options.publication_days, 1, 3'650);
  reader.Get("enrolment.certificate_days", options.certificate_days, 1, 3'650);
  reader.GetEnum("log.level", options.log_level, {"debug", "info", "warning", "error"});
  reader.Get("log.file", options.log_file);
  RETURN_IF_ERROR(reader.Finish());
  return options;
}

std::string AggregatorManual() {
  return R"(Configuration keys (defaults in brackets; paths are relative to the file):
  aggregator.data_dir         database, blobs, checkpoints, keys; one process at a time  (required)
  aggregator.identity_dir     made by `tributary ca issue --role aggregator`             (required)
  aggregator.publication_dir  made by `tributary root init`: signed metadata and online keys; newer
                              metadata is taken up without a restart                     (required)
  aggregator.issuer_dir       made by `tributary ca issuer`: certificates of members
                              are issued and revoked with it; without it none are        [""]
  aggregator.ca_revocations   a revocation list by the CA itself (`tributary ca
                              revoke-issuer`); a newer file is taken up by itself        [""]
  listen.endpoint             where gateways and devices connect                         [tcp://0.0.0.0:7000]
  listen.credit_mib           chunk bytes under way over all connections: bounds memory  [64]
  listen.max_sessions         connections at once                                        [20000]
)" + LimitsManual() +
         R"(
  intake.staging_max_mib      uploads that are not in a checkpoint yet                   [16384]
  http.host, http.port        API, /metrics, /livez, /readyz                             [127.0.0.1, 8080]
  http.tls_certificate,       PEM, leaf first, and its key (mode 0600): the API is then  ["", ""]
  http.tls_key                https only; renewed files are taken up without a restart
  http.allow_plain            plain http on more than loopback: tokens can be read       [false]
  publication.lifetime_days   devices install nothing from an older publication          [30]
  enrolment.certificate_days  how long members' certificates are valid; they renew
                              themselves after two thirds of it                          [365]
  log.level, log.file         debug, info, warning, error; file empty: standard error    [info, ""]

The API asks for a bearer token; make one (it is shown once, only its hash is kept):
  tributary-aggregator token add NAME --role ROLE [--expires-days N] --config aggregator.toml
  tributary-aggregator token list --config aggregator.toml
  tributary-aggregator token remove NAME --config aggregator.toml
Roles, each with all that those before it may: viewer, operator, publisher, admin. Every change that is made with them
is in data_dir/audit.log (tributary audit list).

For sites without a link, disks are carried by hand. The daemon runs meanwhile:
  tributary-aggregator bundle import DIR --config aggregator.toml   count what is on it; receipts go back
  tributary-aggregator bundle export DIR --config aggregator.toml   the publication with its models

Example:
  tributary-aggregator --config aggregator.toml --check-config
  tributary-aggregator --config aggregator.toml)";
}

}  // namespace tributary

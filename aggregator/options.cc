#include "aggregator/options.h"

#include "protocol/base/http/http_config.h"
#include "protocol/hop/server/server_options.h"

namespace tributary {

std::vector<Field> AggregatorOptions::Fields() {
  std::vector<Field> own = {
      {.name = "aggregator.data_dir",
       .place = &data_dir,
       .help = "database, blobs, checkpoints, keys; one process at a time",
       .required = true},
      {.name = "aggregator.identity_dir",
       .place = &identity_dir,
       .help = "made by `tributary ca issue --role aggregator`",
       .required = true},
      {.name = "aggregator.publication_dir",
       .place = &publication_dir,
       .help = "made by `tributary root init`: signed metadata and online keys; newer metadata is taken up without a "
               "restart",
       .required = true},
      {.name = "aggregator.issuer_dir",
       .place = &issuer_dir,
       .help = "made by `tributary ca issuer`: certificates of members are issued and revoked with it; without it none "
               "are"},
      {.name = "aggregator.ca_revocations",
       .place = &ca_revocations,
       .help = "a revocation list by the CA itself (`tributary ca revoke-issuer`); a newer file is taken up by itself"},
      {.name = "listen.endpoint", .place = &listen, .help = "where gateways and devices connect"},
      {.name = "listen.credit_mib",
       .place = &credit_mib,
       .help = "chunk bytes under way over all connections: bounds memory",
       .bounds = Between(1, 65'536),
       .unit = "MiB"},
      {.name = "listen.max_sessions",
       .place = &max_sessions,
       .help = "connections at once",
       .bounds = Between(1, 1'000'000)},
      {.name = "intake.staging_max_mib",
       .place = &staging_max_mib,
       .help = "uploads that are not in a checkpoint yet",
       .bounds = Between(1, 1e9),
       .unit = "MiB"},
      {.name = "publication.lifetime_days",
       .place = &publication_days,
       .help = "devices install nothing from an older publication",
       .bounds = Between(1, 3'650),
       .unit = "days"},
      {.name = "enrolment.certificate_days",
       .place = &certificate_days,
       .help = "how long members' certificates are valid; members renew them after two thirds of it",
       .bounds = Between(1, 3'650),
       .unit = "days"},
  };
  return Joined(std::move(own), LogFields(log_level, log_file));
}

Result<AggregatorOptions> AggregatorOptions::Load(const Path& file) {
  ASSIGN_OR_RETURN(ConfigReader reader, ConfigReader::Load(file));
  AggregatorOptions options;
  reader.Read(options.Fields());
  ReadLimits(reader, options.hop);
  ReadHttpOptions(reader, 1, options.http);
  RETURN_IF_ERROR(reader.Finish());
  return options;
}

std::string AggregatorManual() {
  AggregatorOptions defaults;
  return std::string(kKeysHeading) + FieldsManual(defaults.Fields()) + LimitsManual() +
         FieldsManual(HttpFields(defaults.http, 1)) + R"(
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

#include "aggregator/options.h"

#include "protocol/hop/server/server_options.h"

namespace tributary {

std::vector<Field> AggregatorOptions::Fields() {
  std::vector<Field> own = {
      Required("aggregator.data_dir", &data_dir, "database, blobs, checkpoints, keys; one process at a time"),
      Required("aggregator.identity_dir", &identity_dir, "made by `tributary ca issue --role aggregator`"),
      Required("aggregator.publication_dir", &publication_dir,
               "made by `tributary root init`: signed metadata and online keys; newer metadata is taken up without a "
               "restart"),
      {"aggregator.issuer_dir", &issuer_dir,
       "made by `tributary ca issuer`: certificates of members are issued and revoked with it; without it none "
       "are"},
      {"aggregator.ca_revocations", &ca_revocations,
       "a revocation list by the CA itself (`tributary ca revoke-issuer`); a newer file is taken up by itself"},
      {"listen.endpoint", &hop.endpoint, "where gateways and devices connect"},
      {"listen.credit_mib", &credit_mib, "most chunk bytes under way over all connections; this bounds memory",
       Between(1, 65'536), "MiB"},
      {"listen.max_sessions", &hop.max_sessions, "most connections at once", Between(1, 1'000'000)},
      {"intake.staging_max_mib", &staging_max_mib, "most that uploads which are not in a checkpoint yet may take",
       Between(1, 1e9), "MiB"},
      {"intake.abandon_minutes", &abandon_minutes,
       "time without a chunk after which a partial upload is given up (its sender has it); set it above the longest time "
       "that a link is closed in the middle of an upload",
       Between(1, 20'160), "min"},
      {"publication.lifetime_days", &publication_days,
       "age of a publication from which on devices install nothing of it", Between(1, 3'650), "days"},
      {"enrolment.certificate_days", &certificate_days,
       "how long members' certificates are valid; members renew them after two thirds of it", Between(1, 3'650),
       "days"},
  };
  return Joined(std::move(own), LogFields(log_level, log_file));
}

Result<AggregatorOptions> AggregatorOptions::Load(const Path& file) {
  ASSIGN_OR_RETURN(ConfigReader reader, ConfigReader::Load(file));
  AggregatorOptions options;
  reader.Read(options.Fields());
  reader.Read(FieldsOf(options.retention), "retention");
  ReadLimits(reader, options.hop);
  ReadHttpOptions(reader, 1, options.http);
  RETURN_IF_ERROR(reader.Finish());
  return options;
}

std::string AggregatorManual() {
  AggregatorOptions defaults;
  return std::string(kKeysHeading) + FieldsManual(defaults.Fields()) +
         FieldsManual(FieldsOf(defaults.retention), "retention") + LimitsManual() +
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

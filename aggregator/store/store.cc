#include "aggregator/store/store.h"

namespace tributary {
namespace {

// Times are milliseconds since 1970 in UTC; digests and ids are bytes; unsigned numbers are stored with their bits.
constexpr std::string_view kFirst = R"sql(
CREATE TABLE tasks (
  id TEXT PRIMARY KEY, module_digest BLOB NOT NULL, module_size BIGINT NOT NULL,
  loss BIGINT NOT NULL, optimizer BIGINT NOT NULL, learning_rate DOUBLE PRECISION NOT NULL,
  momentum DOUBLE PRECISION NOT NULL, weight_decay DOUBLE PRECISION NOT NULL, batch_size BIGINT NOT NULL,
  epochs BIGINT NOT NULL, max_steps BIGINT NOT NULL, seed BIGINT NOT NULL,
  report_goal BIGINT NOT NULL, minimum BIGINT NOT NULL, deadline_seconds BIGINT NOT NULL,
  inclusion DOUBLE PRECISION NOT NULL, value_bound DOUBLE PRECISION NOT NULL, norm_bound DOUBLE PRECISION NOT NULL,
  max_weight BIGINT NOT NULL, fraction_bits BIGINT NOT NULL, created BIGINT NOT NULL,
  rounds_wanted BIGINT NOT NULL, latest BIGINT NOT NULL);
CREATE TABLE tensors (
  task TEXT NOT NULL, position BIGINT NOT NULL, name TEXT NOT NULL, shape TEXT NOT NULL,
  PRIMARY KEY (task, position));
CREATE TABLE versions (
  task TEXT NOT NULL, version BIGINT NOT NULL, weights_digest BLOB NOT NULL, weights_size BIGINT NOT NULL,
  parent BIGINT NOT NULL, round BIGINT NOT NULL, created BIGINT NOT NULL,
  PRIMARY KEY (task, version));
CREATE TABLE rounds (
  task TEXT NOT NULL, number BIGINT NOT NULL, state BIGINT NOT NULL, base BIGINT NOT NULL, result BIGINT NOT NULL,
  nonce BLOB NOT NULL, opened BIGINT NOT NULL, deadline BIGINT NOT NULL, closed BIGINT NOT NULL,
  reports BIGINT NOT NULL, total_weight BIGINT NOT NULL, bytes_up BIGINT NOT NULL, aggregate_digest BLOB,
  checkpoint TEXT NOT NULL, generation BIGINT NOT NULL, bytes_in BIGINT NOT NULL, bytes_written BIGINT NOT NULL,
  PRIMARY KEY (task, number));
CREATE INDEX rounds_by_state ON rounds (state);
CREATE INDEX rounds_by_base ON rounds (task, base);
CREATE TABLE round_refusals (
  task TEXT NOT NULL, round BIGINT NOT NULL, code BIGINT NOT NULL, amount BIGINT NOT NULL,
  PRIMARY KEY (task, round, code));
CREATE TABLE contributions (
  task TEXT NOT NULL, base_version BIGINT NOT NULL, device TEXT NOT NULL, upload BLOB NOT NULL,
  weight BIGINT NOT NULL, round BIGINT NOT NULL,
  PRIMARY KEY (task, base_version, device));
CREATE TABLE evaluations (
  task TEXT NOT NULL, version BIGINT NOT NULL, device TEXT NOT NULL, model BIGINT NOT NULL, role TEXT NOT NULL,
  upload BLOB NOT NULL, examples BIGINT NOT NULL, loss DOUBLE PRECISION NOT NULL, accuracy DOUBLE PRECISION NOT NULL,
  millis BIGINT NOT NULL, received BIGINT NOT NULL,
  PRIMARY KEY (task, version, device, model));
CREATE INDEX evaluations_by_upload ON evaluations (upload);
CREATE TABLE evaluation_totals (
  task TEXT NOT NULL, version BIGINT NOT NULL, role TEXT NOT NULL, model BIGINT NOT NULL,
  reports BIGINT NOT NULL, examples BIGINT NOT NULL, correct DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (task, version, role, model));
CREATE TABLE members (
  id TEXT PRIMARY KEY, role TEXT NOT NULL, device_class TEXT NOT NULL, first_seen BIGINT NOT NULL,
  last_seen BIGINT NOT NULL, via TEXT NOT NULL, uploads BIGINT NOT NULL, spooled_uploads BIGINT NOT NULL,
  spooled_bytes BIGINT NOT NULL, delivered_uploads BIGINT NOT NULL, connected_clients BIGINT NOT NULL);
CREATE TABLE accounts (
  kind BIGINT NOT NULL, outcome BIGINT NOT NULL, code BIGINT NOT NULL, amount BIGINT NOT NULL,
  PRIMARY KEY (kind, outcome, code));
CREATE TABLE counters (name TEXT PRIMARY KEY, amount BIGINT NOT NULL);
)sql";
constexpr std::string_view kGateways = R"sql(
CREATE TABLE gateways (
  id TEXT PRIMARY KEY, via TEXT NOT NULL, made BIGINT NOT NULL, first_seen BIGINT NOT NULL, last_seen BIGINT NOT NULL,
  report BLOB NOT NULL);
)sql";
constexpr std::string_view kReports = R"sql(
CREATE TABLE device_reports (
  device TEXT PRIMARY KEY, upload BLOB NOT NULL, received BIGINT NOT NULL, report BLOB NOT NULL);
)sql";
// The columns of the plan, the policy and the bounds become JSON (TaskTable::TakeOver).
constexpr std::string_view kPlans = R"sql(
ALTER TABLE tasks RENAME TO former_tasks;
CREATE TABLE tasks (
  id TEXT PRIMARY KEY, module_digest BLOB NOT NULL, module_size BIGINT NOT NULL,
  plan TEXT NOT NULL, policy TEXT NOT NULL, bounds TEXT NOT NULL, fraction_bits BIGINT NOT NULL,
  created BIGINT NOT NULL, rounds_wanted BIGINT NOT NULL, latest BIGINT NOT NULL);
)sql";
// Loss and accuracy become metrics by name (metric_total.h): whole multiples of 2^-20 where there were means. One that is
// beyond kLargestMetric is left out. The totals are added as doubles, which cannot fail and are exact up to 2^53.
constexpr std::string_view kMetrics = R"sql(
ALTER TABLE tasks ADD COLUMN manifest TEXT NOT NULL DEFAULT '';
CREATE TABLE evaluation_metrics (
  task TEXT NOT NULL, version BIGINT NOT NULL, device TEXT NOT NULL, model BIGINT NOT NULL, name TEXT NOT NULL,
  sum BIGINT NOT NULL, weight BIGINT NOT NULL,
  PRIMARY KEY (task, version, device, model, name));
INSERT INTO evaluation_metrics
  SELECT task, version, device, model, 'loss', CAST(round(loss * examples * 1048576.0) AS BIGINT), examples * 1048576
  FROM evaluations WHERE examples BETWEEN 0 AND 274877906944 AND abs(loss * examples) <= 274877906944.0;
INSERT INTO evaluation_metrics
  SELECT task, version, device, model, 'accuracy', CAST(round(accuracy * examples * 1048576.0) AS BIGINT),
         examples * 1048576
  FROM evaluations WHERE examples BETWEEN 0 AND 274877906944;
CREATE TABLE metric_totals (
  task TEXT NOT NULL, role TEXT NOT NULL, model BIGINT NOT NULL, version BIGINT NOT NULL, name TEXT NOT NULL,
  reports BIGINT NOT NULL, sum BIGINT NOT NULL, weight BIGINT NOT NULL,
  PRIMARY KEY (task, role, model, version, name));
INSERT INTO metric_totals
  SELECT e.task, e.role, e.model, e.version, m.name, count(*), CAST(sum(CAST(m.sum AS DOUBLE PRECISION)) AS BIGINT),
         CAST(sum(CAST(m.weight AS DOUBLE PRECISION)) AS BIGINT)
  FROM evaluations e JOIN evaluation_metrics m
    ON m.task = e.task AND m.version = e.version AND m.device = e.device AND m.model = e.model
  GROUP BY e.task, e.role, e.model, e.version, m.name;
DROP TABLE evaluation_totals;
ALTER TABLE evaluations DROP COLUMN loss;
ALTER TABLE evaluations DROP COLUMN accuracy;
)sql";
constexpr std::string_view kShortfalls = "ALTER TABLE rounds ADD COLUMN shortfall TEXT NOT NULL DEFAULT '';";
// The count that a device says it measured gets the bound that is now checked where it comes in (limits::kCounter). SQLite keeps
// a sum that did not fit as a rounded REAL, and an unsigned number over 2^63 as a negative one. Of versions whose
// contributions are still remembered the totals are added up again, without devices that are in none of their rounds.
constexpr std::string_view kBounds = R"sql(
UPDATE evaluations SET examples = 9007199254740992
  WHERE NOT (typeof(examples) = 'integer' AND examples BETWEEN 0 AND 9007199254740992);
UPDATE evaluations SET millis = 9007199254740992
  WHERE NOT (typeof(millis) = 'integer' AND millis BETWEEN 0 AND 9007199254740992);
ALTER TABLE evaluations ADD COLUMN counted BIGINT NOT NULL DEFAULT 1;
UPDATE evaluations SET counted = 0 WHERE role = 'device'
  AND EXISTS (SELECT 1 FROM contributions c WHERE c.task = evaluations.task AND c.base_version = evaluations.version)
  AND NOT EXISTS (SELECT 1 FROM contributions c WHERE c.task = evaluations.task AND c.base_version =
                  evaluations.version AND c.device = evaluations.device);
DELETE FROM metric_totals
  WHERE NOT (typeof(sum) = 'integer' AND typeof(weight) = 'integer' AND weight >= 0 AND typeof(reports) = 'integer')
  OR (role = 'device' AND EXISTS (SELECT 1 FROM contributions c WHERE c.task = metric_totals.task AND c.base_version =
                                  metric_totals.version));
INSERT INTO metric_totals
  SELECT e.task, e.role, e.model, e.version, m.name, count(*), CAST(sum(CAST(m.sum AS DOUBLE PRECISION)) AS BIGINT),
         CAST(sum(CAST(m.weight AS DOUBLE PRECISION)) AS BIGINT)
  FROM evaluations e JOIN evaluation_metrics m
    ON m.task = e.task AND m.version = e.version AND m.device = e.device AND m.model = e.model
  WHERE e.counted = 1 AND typeof(m.sum) = 'integer' AND typeof(m.weight) = 'integer' AND m.weight >= 0
  GROUP BY e.task, e.role, e.model, e.version, m.name
  ON CONFLICT (task, role, model, version, name) DO NOTHING;
)sql";
// A version, a round and a contribution get what they have of an UpdateSize (records.h); 0: no bound, or not known.
constexpr std::string_view kRoundBounds = R"sql(
ALTER TABLE versions ADD COLUMN norm_bound DOUBLE PRECISION NOT NULL DEFAULT 0;
ALTER TABLE versions ADD COLUMN statistics_bound DOUBLE PRECISION NOT NULL DEFAULT 0;
ALTER TABLE versions ADD COLUMN weight_bound BIGINT NOT NULL DEFAULT 0;
ALTER TABLE versions ADD COLUMN restores BIGINT NOT NULL DEFAULT 0;
ALTER TABLE versions ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE rounds ADD COLUMN norm_bound DOUBLE PRECISION NOT NULL DEFAULT 0;
ALTER TABLE rounds ADD COLUMN statistics_bound DOUBLE PRECISION NOT NULL DEFAULT 0;
ALTER TABLE rounds ADD COLUMN weight_bound BIGINT NOT NULL DEFAULT 0;
ALTER TABLE rounds ADD COLUMN scaled BIGINT NOT NULL DEFAULT 0;
ALTER TABLE rounds ADD COLUMN capped BIGINT NOT NULL DEFAULT 0;
ALTER TABLE contributions ADD COLUMN norm DOUBLE PRECISION NOT NULL DEFAULT 0;
ALTER TABLE contributions ADD COLUMN statistics DOUBLE PRECISION NOT NULL DEFAULT 0;
)sql";
// Pruning (RetentionTable): of versions, whether and when; of tasks, up to which version evaluations are folded; and
// blobs that are to be removed.
constexpr std::string_view kRetention = R"sql(
ALTER TABLE versions ADD COLUMN pinned TEXT NOT NULL DEFAULT '';
ALTER TABLE versions ADD COLUMN pruned BIGINT NOT NULL DEFAULT 0;
CREATE INDEX versions_by_pruned ON versions (task, pruned, version);
CREATE INDEX versions_by_restored ON versions (task, restores);
CREATE INDEX versions_by_weights ON versions (weights_digest);
CREATE TABLE folded_evaluations (task TEXT PRIMARY KEY, version BIGINT NOT NULL);
CREATE TABLE doomed_blobs (digest BLOB PRIMARY KEY);
)sql";
// How often devices were asked again for a round's base version, and who (NamesToBytes).
constexpr std::string_view kAsks = R"sql(
ALTER TABLE rounds ADD COLUMN asks BIGINT NOT NULL DEFAULT 0;
ALTER TABLE rounds ADD COLUMN asked BLOB NOT NULL DEFAULT x'';
ALTER TABLE rounds ADD COLUMN counted BLOB NOT NULL DEFAULT x'';
)sql";
// The fewer bytes in which a version travels; no digest: there are none.
constexpr std::string_view kCompact = R"sql(
ALTER TABLE versions ADD COLUMN compact_codec BIGINT NOT NULL DEFAULT 0;
ALTER TABLE versions ADD COLUMN compact_base BLOB;
ALTER TABLE versions ADD COLUMN compact_digest BLOB;
ALTER TABLE versions ADD COLUMN compact_size BIGINT NOT NULL DEFAULT 0;
CREATE INDEX versions_by_compact ON versions (compact_digest);
)sql";
// The server's optimiser of a task (JSON; empty: FedAvg), and what it keeps with a version.
constexpr std::string_view kServerOptimizers = R"sql(
ALTER TABLE tasks ADD COLUMN server_optimizer TEXT NOT NULL DEFAULT '';
ALTER TABLE versions ADD COLUMN optimizer_digest BLOB;
ALTER TABLE versions ADD COLUMN optimizer_size BIGINT NOT NULL DEFAULT 0;
CREATE INDEX versions_by_optimizer ON versions (optimizer_digest);
)sql";
// A task's robust rule by its table of fields. A contribution gets its norm as it came, where its update pointed, and the
// gateway through which it came (NULL: not known).
constexpr std::string_view kRobust = R"sql(
ALTER TABLE tasks ADD COLUMN robust TEXT NOT NULL DEFAULT '{}';
ALTER TABLE contributions ADD COLUMN length DOUBLE PRECISION NOT NULL DEFAULT 0;
ALTER TABLE contributions ADD COLUMN cosine DOUBLE PRECISION;
ALTER TABLE contributions ADD COLUMN via TEXT;
)sql";
// How stale a round's updates were: counts with commas between them. All were of the latest version before.
constexpr std::string_view kStaleness = R"sql(
ALTER TABLE rounds ADD COLUMN staleness TEXT NOT NULL DEFAULT '';
UPDATE rounds SET staleness = CAST(reports AS TEXT) WHERE reports > 0;
)sql";
// What may change while a task's rounds go on, and how a round's deadline and selection came about.
constexpr std::string_view kRoundControl = R"sql(
ALTER TABLE tasks ADD COLUMN next_policy TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN next_server_optimizer TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN paused TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN paused_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE rounds ADD COLUMN extended BIGINT NOT NULL DEFAULT 0;
ALTER TABLE rounds ADD COLUMN inclusion DOUBLE PRECISION NOT NULL DEFAULT 0;
)sql";
// The manifests of versions, with the leaves of their Merkle trees.
constexpr std::string_view kManifests = R"sql(
CREATE TABLE manifests (
  task TEXT NOT NULL, version BIGINT NOT NULL, manifest TEXT NOT NULL, leaves BLOB NOT NULL,
  PRIMARY KEY (task, version));
)sql";
// Private tasks (PrivacyTable).
constexpr std::string_view kPrivacy = R"sql(
ALTER TABLE tasks ADD COLUMN privacy TEXT NOT NULL DEFAULT '{}';
CREATE TABLE participations (
  task TEXT NOT NULL, device TEXT NOT NULL, times BIGINT NOT NULL, last BIGINT NOT NULL, PRIMARY KEY (task, device));
CREATE TABLE draws (
  task TEXT NOT NULL, number BIGINT NOT NULL, run BIGINT NOT NULL, noise BLOB NOT NULL, round BIGINT NOT NULL,
  PRIMARY KEY (task, number));
CREATE TABLE spending (
  task TEXT NOT NULL, version BIGINT NOT NULL, epsilon DOUBLE PRECISION NOT NULL, sequence BIGINT NOT NULL,
  hash BLOB NOT NULL, PRIMARY KEY (task, version));
)sql";
// A new one goes to the end.
constexpr std::string_view kSchema[] = {
    kFirst, kGateways, kReports,          kPlans,  kMetrics,   kShortfalls,   kRoundBounds, kBounds, kRetention,
    kAsks,  kCompact,  kServerOptimizers, kRobust, kStaleness, kRoundControl, kManifests,   kPrivacy};

}  // namespace

Result<std::unique_ptr<Store>> Store::Open(const Path& file) {
  ASSIGN_OR_RETURN(auto database, Database::Open(file));
  RETURN_IF_ERROR(database->Migrate(kSchema));
  auto store = std::unique_ptr<Store>(new Store(std::move(database)));
  RETURN_IF_ERROR(store->tasks.TakeOver());
  return store;
}

}  // namespace tributary

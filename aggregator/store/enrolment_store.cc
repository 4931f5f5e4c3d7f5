#include "aggregator/store/enrolment_store.h"

namespace tributary {
namespace {

// Times are milliseconds since 1970 in UTC; lists of names stand in one text with blanks between.
constexpr std::string_view kEnrolment = R"sql(
CREATE TABLE enrolment_tokens (
  id TEXT PRIMARY KEY, hash BLOB NOT NULL, role TEXT NOT NULL, device_class TEXT NOT NULL, labels TEXT NOT NULL,
  created BIGINT NOT NULL, expires BIGINT NOT NULL, uses BIGINT NOT NULL, used BIGINT NOT NULL,
  approved BIGINT NOT NULL, created_by TEXT NOT NULL);
CREATE TABLE enrolled_members (
  id TEXT PRIMARY KEY, state BIGINT NOT NULL, role TEXT NOT NULL, device_class TEXT NOT NULL, labels TEXT NOT NULL,
  token TEXT NOT NULL, public_key BLOB NOT NULL, curve_key BLOB NOT NULL, serial TEXT NOT NULL,
  requested BIGINT NOT NULL, issued BIGINT NOT NULL, not_after BIGINT NOT NULL, renewals BIGINT NOT NULL,
  reason TEXT NOT NULL);
CREATE INDEX enrolled_members_by_key ON enrolled_members (public_key);
CREATE TABLE enrolment_requests (
  digest BLOB PRIMARY KEY, member TEXT NOT NULL, serial TEXT NOT NULL, received BIGINT NOT NULL);
CREATE INDEX enrolment_requests_by_member ON enrolment_requests (member);
CREATE TABLE certificates (
  issuer BLOB NOT NULL, serial TEXT NOT NULL, member TEXT NOT NULL, chain BLOB NOT NULL, public_key BLOB NOT NULL,
  curve_key BLOB NOT NULL, issued BIGINT NOT NULL, not_after BIGINT NOT NULL, revoked BIGINT NOT NULL,
  PRIMARY KEY (issuer, serial));
CREATE INDEX certificates_by_member ON certificates (member);
CREATE TABLE revocation_lists (
  issuer BLOB PRIMARY KEY, number BIGINT NOT NULL, chain BLOB NOT NULL, crl BLOB NOT NULL, ends BIGINT NOT NULL);
)sql";
constexpr std::string_view kProbe = "CREATE TABLE disk_probe (id BIGINT PRIMARY KEY, written BIGINT NOT NULL);";
constexpr std::string_view kKeys = "CREATE INDEX certificates_by_key ON certificates (public_key);";
constexpr std::string_view kEnrolmentSchema[] = {kEnrolment, kProbe, kKeys};

}  // namespace

EnrolmentStore::EnrolmentStore(std::unique_ptr<Database> database)
    : database_(std::move(database)), tokens(*database_), members(*database_), certificates(*database_) {}

Result<std::unique_ptr<EnrolmentStore>> EnrolmentStore::Open(const Path& file) {
  ASSIGN_OR_RETURN(auto database, Database::Open(file));
  RETURN_IF_ERROR(database->Migrate(kEnrolmentSchema));
  return std::unique_ptr<EnrolmentStore>(new EnrolmentStore(std::move(database)));
}

Status EnrolmentStore::Probe(WallTime now) {
  RETURN_IF_ERROR(
      database_->Execute("INSERT INTO disk_probe (id, written) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET written = "
                         "excluded.written",
                         now.unix_millis));
  return {};
}

}  // namespace tributary

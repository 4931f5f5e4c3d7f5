#include "aggregator/store/enrolment_store.h"

#include <algorithm>
#include <sstream>

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

namespace {

// A list of names (ids.h) stands in one column, with blanks between, which no name has.
std::string JoinNames(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
  return text;
}

std::vector<std::string> SplitNames(const std::string& text) {
  std::vector<std::string> names;
  std::istringstream words(text);
  for (std::string name; words >> name;) names.push_back(name);
  return names;
}

#define TRIBUTARY_MEMBER_COLUMNS                                                                                \
  "id, state, role, device_class, labels, token, public_key, curve_key, serial, requested, issued, not_after, " \
  "renewals, reason"

Result<StoredMember> ReadMember(const Row& row) {
  StoredMember stored;
  EnrolledMember& member = stored.member;
  ASSIGN_OR_RETURN(member.id, DeviceId::Parse(row.Text(0)));
  member.state = static_cast<EnrolmentState>(row.Int(1));
  const auto role = RoleByName(row.Text(2));
  if (!role || std::ranges::find(kEnrolmentStates, member.state) == std::end(kEnrolmentStates)) {
    return Fail(Code::kCorrupt, "the member {} has the role '{}' and state {}", member.id.text(), row.Text(2),
                row.Int(1));
  }
  member.role = *role;
  member.device_class = row.Text(3);
  member.labels = SplitNames(row.Text(4));
  member.token = row.Text(5);
  member.public_key = row.Blob(6);
  stored.curve_public_key = row.Blob(7);
  member.serial = row.Text(8);
  member.requested = {row.Int(9)};
  member.issued = {row.Int(10)};
  member.not_after = {row.Int(11)};
  member.renewals = static_cast<uint32_t>(row.Int(12));
  member.reason = row.Text(13);
  return stored;
}

Result<std::optional<StoredMember>> ReadOne(const std::vector<Row>& rows) {
  if (rows.empty()) return std::nullopt;
  ASSIGN_OR_RETURN(StoredMember member, ReadMember(rows.front()));
  return member;
}

Result<StoredToken> ReadToken(const Row& row) {
  StoredToken token;
  EnrolmentTokenRecord& record = token.record;
  record.id = row.Text(0);
  ASSIGN_OR_RETURN(token.hash, Digest::FromBytes(row.Blob(1)));
  const auto role = RoleByName(row.Text(2));
  if (!role) return Fail(Code::kCorrupt, "the enrolment token {} has the role '{}'", record.id, row.Text(2));
  record.role = *role;
  record.device_class = row.Text(3);
  record.labels = SplitNames(row.Text(4));
  record.created = {row.Int(5)};
  record.expires = {row.Int(6)};
  record.uses = static_cast<uint32_t>(row.Int(7));
  record.used = static_cast<uint32_t>(row.Int(8));
  record.approved = row.Int(9) != 0;
  record.created_by = row.Text(10);
  return token;
}

}  // namespace

Status EnrolmentTable::Save(const StoredMember& stored) {
  const EnrolledMember& member = stored.member;
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO enrolled_members (" TRIBUTARY_MEMBER_COLUMNS
      ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state, "
      "role = excluded.role, device_class = excluded.device_class, labels = excluded.labels, token = excluded.token, "
      "public_key = excluded.public_key, curve_key = excluded.curve_key, serial = excluded.serial, requested = "
      "excluded.requested, issued = excluded.issued, not_after = excluded.not_after, renewals = excluded.renewals, "
      "reason = excluded.reason",
      member.id, member.state, RoleName(member.role), member.device_class, JoinNames(member.labels), member.token,
      member.public_key, stored.curve_public_key, member.serial, member.requested.unix_millis,
      member.issued.unix_millis, member.not_after.unix_millis, member.renewals, member.reason));
  return {};
}

Result<std::optional<StoredMember>> EnrolmentTable::Find(const DeviceId& id) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT " TRIBUTARY_MEMBER_COLUMNS " FROM enrolled_members WHERE id = ?", id));
  return ReadOne(rows);
}

Result<std::optional<StoredMember>> EnrolmentTable::FindByKey(ByteView public_key) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT " TRIBUTARY_MEMBER_COLUMNS " FROM enrolled_members WHERE public_key = ? "
                                   "ORDER BY requested LIMIT 1",
                                   public_key));
  return ReadOne(rows);
}

Result<std::vector<StoredMember>> EnrolmentTable::All() {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT " TRIBUTARY_MEMBER_COLUMNS " FROM enrolled_members ORDER BY id"));
  std::vector<StoredMember> members;
  for (const Row& row : rows) {
    ASSIGN_OR_RETURN(StoredMember member, ReadMember(row));
    members.push_back(std::move(member));
  }
  return members;
}

Result<std::vector<DeviceId>> EnrolmentTable::InState(EnrolmentState state) {
  ASSIGN_OR_RETURN(const auto rows, database_.Query("SELECT id FROM enrolled_members WHERE state = ?", state));
  std::vector<DeviceId> ids;
  for (const Row& row : rows) {
    ASSIGN_OR_RETURN(DeviceId id, DeviceId::Parse(row.Text(0)));
    ids.push_back(std::move(id));
  }
  return ids;
}

Result<std::map<EnrolmentState, uint64_t>> EnrolmentTable::CountByState() {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT state, COUNT(*) FROM enrolled_members GROUP BY state ORDER BY state"));
  std::map<EnrolmentState, uint64_t> counts;
  for (const Row& row : rows) {
    counts[static_cast<EnrolmentState>(row.Int(0))] = static_cast<uint64_t>(row.Int(1));
  }
  return counts;
}

Status EnrolmentTable::InsertRequest(const StoredRequest& request) {
  RETURN_IF_ERROR(
      database_.Execute("INSERT INTO enrolment_requests (digest, member, serial, received) VALUES (?, ?, ?, ?)",
                        request.id, request.member, request.serial, request.received.unix_millis));
  return {};
}

Result<std::optional<StoredRequest>> EnrolmentTable::FindRequest(const Digest& id) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT member, serial, received FROM enrolment_requests WHERE digest = ?", id));
  if (rows.empty()) return std::nullopt;
  StoredRequest request;
  request.id = id;
  ASSIGN_OR_RETURN(request.member, DeviceId::Parse(rows.front().Text(0)));
  request.serial = rows.front().Text(1);
  request.received = {rows.front().Int(2)};
  return request;
}

Status EnrolmentTable::AnswerRequests(const DeviceId& member, const std::string& serial) {
  RETURN_IF_ERROR(
      database_.Execute("UPDATE enrolment_requests SET serial = ? WHERE member = ? AND serial = ''", serial, member));
  return {};
}

Status EnrolmentTable::ForgetRequestsBefore(WallTime since) {
  RETURN_IF_ERROR(
      database_.Execute("DELETE FROM enrolment_requests WHERE received < ? AND serial <> ''", since.unix_millis));
  return {};
}

// ---- Tokens

Status EnrolmentTokenTable::Insert(const StoredToken& token) {
  const EnrolmentTokenRecord& record = token.record;
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO enrolment_tokens (id, hash, role, device_class, labels, created, expires, uses, used, approved, "
      "created_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      record.id, token.hash, RoleName(record.role), record.device_class, JoinNames(record.labels),
      record.created.unix_millis, record.expires.unix_millis, record.uses, record.used, record.approved,
      record.created_by));
  return {};
}

Result<std::vector<StoredToken>> EnrolmentTokenTable::All() {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT id, hash, role, device_class, labels, created, expires, uses, used, "
                                   "approved, created_by FROM enrolment_tokens ORDER BY id"));
  std::vector<StoredToken> tokens;
  for (const Row& row : rows) {
    ASSIGN_OR_RETURN(StoredToken token, ReadToken(row));
    tokens.push_back(std::move(token));
  }
  return tokens;
}

Status EnrolmentTokenTable::CountUse(const std::string& id) {
  ASSIGN_OR_RETURN(const int64_t counted,
                   database_.Execute("UPDATE enrolment_tokens SET used = used + 1 WHERE id = ? AND used < uses", id));
  if (counted == 0) return Fail(Code::kBadToken, "the enrolment token {} has no use left", id);
  return {};
}

Result<bool> EnrolmentTokenTable::Remove(const std::string& id) {
  ASSIGN_OR_RETURN(const int64_t removed, database_.Execute("DELETE FROM enrolment_tokens WHERE id = ?", id));
  return removed > 0;
}

}  // namespace tributary

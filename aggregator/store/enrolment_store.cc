#include "aggregator/store/enrolment_store.h"

#include <algorithm>
#include <sstream>

#include <fmt/format.h>

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
// Both are read as lists (EnrolmentTable::List).
constexpr std::string_view kLists = R"sql(
CREATE INDEX enrolled_members_by_role ON enrolled_members (role, id);
CREATE INDEX enrolled_members_by_state ON enrolled_members (role, state, id);
)sql";
constexpr std::string_view kEnrolmentSchema[] = {kEnrolment, kProbe, kKeys, kLists};

// A list of names (ids.h) stands in one column, with blanks between, which no name has.
std::string JoinNames(const std::vector<std::string>& names) { return fmt::format("{}", fmt::join(names, " ")); }

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
  std::string role_name, labels;
  RETURN_IF_ERROR(row.Into(member.id, member.state, role_name, member.device_class, labels, member.token,
                           member.public_key, stored.curve_public_key, member.serial, member.requested, member.issued,
                           member.not_after, member.renewals, member.reason));
  const auto role = RoleByName(role_name);
  if (!role) return Fail(Code::kCorrupt, "the member {} has the role '{}'", member.id.text(), role_name);
  member.role = *role;
  member.labels = SplitNames(labels);
  return stored;
}

Result<StoredRequest> ReadRequest(const Row& row) {
  StoredRequest request;
  RETURN_IF_ERROR(row.Into(request.id, request.member, request.serial, request.received));
  return request;
}

Result<StoredToken> ReadToken(const Row& row) {
  StoredToken token;
  EnrolmentTokenRecord& record = token.record;
  std::string role_name, labels;
  RETURN_IF_ERROR(row.Into(record.id, token.hash, role_name, record.device_class, labels, record.created,
                           record.expires, record.uses, record.used, record.approved, record.created_by));
  const auto role = RoleByName(role_name);
  if (!role) return Fail(Code::kCorrupt, "the enrolment token {} has the role '{}'", record.id, role_name);
  record.role = *role;
  record.labels = SplitNames(labels);
  return token;
}

}  // namespace

Result<std::unique_ptr<EnrolmentStore>> EnrolmentStore::Open(const Path& file) {
  ASSIGN_OR_RETURN(auto database, Database::Open(file));
  RETURN_IF_ERROR(database->Migrate(kEnrolmentSchema));
  return std::unique_ptr<EnrolmentStore>(new EnrolmentStore(std::move(database)));
}

Status EnrolmentStore::Probe(WallTime now) {
  return database_->Write(
      "INSERT INTO disk_probe (id, written) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET written = excluded.written",
      now);
}

Status EnrolmentTable::Save(const StoredMember& stored) {
  const EnrolledMember& member = stored.member;
  return database_.Write(
      "INSERT INTO enrolled_members (" TRIBUTARY_MEMBER_COLUMNS
      ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state, "
      "role = excluded.role, device_class = excluded.device_class, labels = excluded.labels, token = excluded.token, "
      "public_key = excluded.public_key, curve_key = excluded.curve_key, serial = excluded.serial, requested = "
      "excluded.requested, issued = excluded.issued, not_after = excluded.not_after, renewals = excluded.renewals, "
      "reason = excluded.reason",
      member.id, member.state, RoleName(member.role), member.device_class, JoinNames(member.labels), member.token,
      member.public_key, stored.curve_public_key, member.serial, member.requested, member.issued, member.not_after,
      member.renewals, member.reason);
}

Result<std::optional<StoredMember>> EnrolmentTable::Find(const DeviceId& id) {
  return database_.QueryFirst(ReadMember, "SELECT " TRIBUTARY_MEMBER_COLUMNS " FROM enrolled_members WHERE id = ?", id);
}

Result<std::optional<StoredMember>> EnrolmentTable::FindByKey(ByteView public_key) {
  return database_.QueryFirst(ReadMember,
                              "SELECT " TRIBUTARY_MEMBER_COLUMNS
                              " FROM enrolled_members WHERE public_key = ? ORDER BY requested LIMIT 1",
                              public_key);
}

Result<std::vector<StoredMember>> EnrolmentTable::List(Role role, std::optional<EnrolmentState> state,
                                                       const Slice<DeviceId>& slice) {
  if (state) {
    return database_.QueryAs(ReadMember,
                             "SELECT " TRIBUTARY_MEMBER_COLUMNS
                             " FROM enrolled_members WHERE role = ? AND state = ? AND id > ? ORDER BY id LIMIT ?",
                             RoleName(role), *state, slice.after, slice.most);
  }
  return database_.QueryAs(ReadMember,
                           "SELECT " TRIBUTARY_MEMBER_COLUMNS
                           " FROM enrolled_members WHERE role = ? AND id > ? ORDER BY id LIMIT ?",
                           RoleName(role), slice.after, slice.most);
}

Result<std::vector<StoredMember>> EnrolmentTable::All() {
  return database_.QueryAs(ReadMember, "SELECT " TRIBUTARY_MEMBER_COLUMNS " FROM enrolled_members ORDER BY id");
}

Result<std::map<EnrolmentState, uint64_t>> EnrolmentTable::CountByState() {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT state, COUNT(*) FROM enrolled_members GROUP BY state ORDER BY state"));
  std::map<EnrolmentState, uint64_t> counts;
  for (const Row& row : rows) {
    EnrolmentState state{};
    uint64_t count = 0;
    RETURN_IF_ERROR(row.Into(state, count));
    counts[state] = count;
  }
  return counts;
}

Result<std::optional<StoredRequest>> EnrolmentTable::FindRequest(const Digest& id) {
  return database_.QueryFirst(ReadRequest,
                              "SELECT digest, member, serial, received FROM enrolment_requests WHERE digest = ?", id);
}

// ---- Tokens

Status EnrolmentTokenTable::Insert(const StoredToken& token) {
  const EnrolmentTokenRecord& record = token.record;
  return database_.Write(
      "INSERT INTO enrolment_tokens (id, hash, role, device_class, labels, created, expires, uses, used, approved, "
      "created_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      record.id, token.hash, RoleName(record.role), record.device_class, JoinNames(record.labels), record.created,
      record.expires, record.uses, record.used, record.approved, record.created_by);
}

Result<std::vector<StoredToken>> EnrolmentTokenTable::All() {
  return database_.QueryAs(ReadToken,
                           "SELECT id, hash, role, device_class, labels, created, expires, uses, used, approved, "
                           "created_by FROM enrolment_tokens ORDER BY id");
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

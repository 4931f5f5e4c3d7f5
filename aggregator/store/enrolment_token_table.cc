#include "aggregator/store/enrolment_token_table.h"

#include "aggregator/store/labels.h"

namespace tributary {
namespace {

Result<StoredToken> Read(const Row& row) {
  StoredToken token;
  EnrolmentTokenRecord& record = token.record;
  record.id = row.Text(0);
  ASSIGN_OR_RETURN(token.hash, Digest::FromBytes(row.Blob(1)));
  const auto role = RoleByName(row.Text(2));
  if (!role) return Fail(Code::kCorrupt, "the enrolment token " + record.id + " has the role '" + row.Text(2) + "'");
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
    ASSIGN_OR_RETURN(StoredToken token, Read(row));
    tokens.push_back(std::move(token));
  }
  return tokens;
}

Status EnrolmentTokenTable::CountUse(const std::string& id) {
  ASSIGN_OR_RETURN(const int64_t counted,
                   database_.Execute("UPDATE enrolment_tokens SET used = used + 1 WHERE id = ? AND used < uses", id));
  if (counted == 0) return Fail(Code::kBadToken, "the enrolment token " + id + " has no use left");
  return {};
}

Result<bool> EnrolmentTokenTable::Remove(const std::string& id) {
  ASSIGN_OR_RETURN(const int64_t removed, database_.Execute("DELETE FROM enrolment_tokens WHERE id = ?", id));
  return removed > 0;
}

}  // namespace tributary

#pragma once

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "aggregator/records/enrolment_records.h"
#include "aggregator/records/slice.h"
#include "aggregator/store/certificate_table.h"
#include "protocol/base/sql/database.h"

namespace tributary {

struct StoredMember {
  EnrolledMember member;
  Bytes curve_public_key;  // that its newest certificate binds, or that it wants bound
};

// A request for a certificate that was taken up, known by the SHA-256 of its bytes.
struct StoredRequest {
  Digest id;
  DeviceId member;
  std::string serial;  // of the certificate that answers it; empty: none yet
  WallTime received;
};

// Members by their certificates, and the requests that made them.
class EnrolmentTable : Tables {
 public:
  using Tables::Tables;

  Status Save(const StoredMember& member);
  Result<std::optional<StoredMember>> Find(const DeviceId& id);
  Result<std::optional<StoredMember>> FindByKey(ByteView public_key);
  // In the order of their ids.
  Result<std::vector<StoredMember>> All();
  // Members of this role in the order of their ids; with `state`, only those in it.
  Result<std::vector<StoredMember>> List(Role role, std::optional<EnrolmentState> state, const Slice<DeviceId>& slice);
  Result<std::vector<DeviceId>> InState(EnrolmentState state) {
    return database_.QueryAs(FirstCell<DeviceId>, "SELECT id FROM enrolled_members WHERE state = ?", state);
  }
  Result<std::map<EnrolmentState, uint64_t>> CountByState();

  // With its requests.
  Status Remove(const DeviceId& id) {
    RETURN_IF_ERROR(database_.Write("DELETE FROM enrolment_requests WHERE member = ?", id));
    return database_.Write("DELETE FROM enrolled_members WHERE id = ?", id);
  }

  Status InsertRequest(const StoredRequest& request) {
    return database_.Write("INSERT INTO enrolment_requests (digest, member, serial, received) VALUES (?, ?, ?, ?)",
                           request.id, request.member, request.serial, request.received);
  }
  Result<std::optional<StoredRequest>> FindRequest(const Digest& id);
  // Its requests that have no answer yet are answered by this certificate.
  Status AnswerRequests(const DeviceId& member, const std::string& serial) {
    return database_.Write("UPDATE enrolment_requests SET serial = ? WHERE member = ? AND serial = ''", serial, member);
  }
  // Those that were answered, and came before `since`.
  Status ForgetRequestsBefore(WallTime since) {
    return database_.Write("DELETE FROM enrolment_requests WHERE received < ? AND serial <> ''", since);
  }
};

struct StoredToken {
  EnrolmentTokenRecord record;
  Digest hash;  // SHA-256 of the secret: 32 random bytes need no salt
};

// Enrolment tokens.
class EnrolmentTokenTable : Tables {
 public:
  using Tables::Tables;

  // kConflict: the id is taken.
  Status Insert(const StoredToken& token);
  // In the order of their ids. kCorrupt: a row that no program of ours writes.
  Result<std::vector<StoredToken>> All();
  // One use more. kBadToken: it has none left.
  Status CountUse(const std::string& id);
  // Whether there was one.
  Result<bool> Remove(const std::string& id);
};

// Who may become a member and who is one, in a database of its own: it must be open before the first publication is
// made, which carries the revocation list, and no transaction spans it and the rounds. As Store otherwise.
class EnrolmentStore {
 public:
  static Result<std::unique_ptr<EnrolmentStore>> Open(const Path& file);

  Result<Transaction> Begin() { return Transaction::Begin(*database_); }
  // Writes a row of no meaning, to see whether the disk takes it.
  Status Probe(WallTime now);

 private:
  explicit EnrolmentStore(std::unique_ptr<Database> database) : database_(std::move(database)) {}
  std::unique_ptr<Database> database_;

 public:
  EnrolmentTokenTable tokens{*database_};
  EnrolmentTable members{*database_};
  CertificateTable certificates{*database_};
};

}  // namespace tributary

#pragma once

#include <memory>

#include "aggregator/store/certificate_table.h"
#include "aggregator/store/enrolment_table.h"

namespace tributary {

// Who may become a member and who is one, in a database of its own: it must be open before the first publication is
// made, which carries the revocation list, and no transaction spans it and the rounds. As Store otherwise.
class EnrolmentStore {
 public:
  static Result<std::unique_ptr<EnrolmentStore>> Open(const Path& file);

  Result<Transaction> Begin() { return Transaction::Begin(*database_); }
  // Writes something that says nothing, to see whether the disk takes it.
  Status Probe(WallTime now);

 private:
  explicit EnrolmentStore(std::unique_ptr<Database> database);
  std::unique_ptr<Database> database_;

 public:
  EnrolmentTokenTable tokens;
  EnrolmentTable members;
  CertificateTable certificates;
};

}  // namespace tributary

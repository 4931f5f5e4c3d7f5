#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "protocol/trust/identity/trust_anchor.h"
#include "tests/aggregator/enrol/enrol_fixture.h"
#include "tests/support/power_disk.h"

namespace tributary {

// The knowledge of operators and applicants, which they keep whatever happens to the aggregator's disk.
struct EnrolMemory {
  std::map<std::string, std::string> secrets;        // by token
  std::map<std::string, Bytes> requests;             // by applicant
  std::map<std::string, std::vector<Bytes>> chains;  // by applicant
  std::vector<Bytes> hidden;                         // of d1, and unknown to the aggregator until it is shown
  std::map<std::string, uint64_t> told;              // steps that succeeded: the disk's operations by then
  std::map<std::string, uint64_t> list_numbers;      // the revocation list's, by step
};

// The life of four members on a disk of the test's own, step by step: tokens, enrolment, approval, refusal, renewal,
// revocation, another certificate of a revoked member, a token's removal. Every step may be taken again, as people and
// applicants do who heard no answer. The keys, the issuer and the clock are the fixture's.
class EnrolStory {
 public:
  struct Step {
    std::string name;
    std::function<Status()> take;
  };

  EnrolStory(EnrolFixture& site, PowerDisk& disk, Path folder, EnrolMemory memory = {});
  Status Open();
  // As after a restart.
  void Close() { enrolment_.reset(); }

  EnrolmentOffice& enrolment() { return *enrolment_; }
  std::vector<Step> Steps();
  // Takes the step and notes when it had succeeded.
  Status Take(const Step& step);
  EnrolmentAnswer Decide(const std::string& applicant);
  // All answers up to the disk's operation `point` still hold; what nobody was told is done or not, never half.
  void CheckWhatWasTold(uint64_t point);
  void CheckNothingIsHalfDone();
  // The same, however the way there was.
  void CheckTheEnd();

  EnrolMemory memory;

 private:
  Status MakeToken(const std::string& id, uint32_t uses, bool approved, const std::string& member);
  Status Enrol(const std::string& name, const std::string& token);
  Status Renew();
  Status DecideAbout(const std::string& name, bool approve);
  Status ShowHiddenCertificate();
  bool Has(const std::string& token);
  std::optional<EnrolledMember> Member(const std::string& id);
  RevocationList List();
  const std::vector<Bytes>& HiddenChain();
  bool Revoked(const std::vector<Bytes>& chain) const;

  EnrolFixture& site_;
  PowerDisk& disk_;
  const Path folder_;
  TrustAnchor anchor_;
  std::unique_ptr<EnrolmentOffice> enrolment_;
};

}  // namespace tributary

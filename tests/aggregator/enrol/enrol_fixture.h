#pragma once

#include <memory>
#include <optional>
#include <string>

#include "aggregator/enrol/enrolment_office.h"
#include "protocol/trust/identity/identity.h"
#include "protocol/trust/identity/trust_anchor.h"
#include "tests/support/manual_clock.h"
#include "tests/support/must.h"
#include "tests/support/seeded_random.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary {

// Somebody who wants to be a member, with keys of its own.
struct Applicant {
  SigningKey key = SigningKey::Generate();
  CurveKeyPair curve = GenerateCurveKeyPair();
};

// An aggregator's enrolment with an issuer below the test fleet's CA, on a disk of its own.
class EnrolFixture {
 public:
  // `opened`: false when only children of this process are to open the database and the keys, each with Reopen.
  explicit EnrolFixture(bool with_issuer = true, bool opened = true);

  EnrolmentOffice& enrolment() { return *enrolment_; }
  SealingKeys& keys() { return *keys_; }
  // As after a restart of the aggregator. Sealing keys too.
  void Reopen();
  // Until Reopen; its files may be changed meanwhile.
  void Close() { enrolment_.reset(); }
  EnrolmentOffice::Parts PartsOfIt();

  // A token's secret.
  std::string MakeToken(const std::string& id, uint32_t uses = 1, bool approved = true, Role role = Role::kDevice);
  Bytes Ask(const Applicant& applicant, const std::string& secret, std::optional<std::string> id) const;
  Bytes AskAt(const Applicant& applicant, const std::string& secret, std::optional<std::string> id,
              WallTime created) const;
  EnrolmentAnswer Decide(const Bytes& request);
  // Enrols and gives the chain; dies when that is refused.
  std::vector<Bytes> Enrolled(const Applicant& applicant, const std::string& id, const std::string& secret);
  // A member's identity, as a program would hold it.
  Identity IdentityOf(const Applicant& applicant, const std::vector<Bytes>& chain) const;
  Result<VerifiedIdentity> Verify(const std::vector<Bytes>& chain) const;
  SealingTarget target() const;

  TemporaryFolder folder;
  ManualClock clock;
  SeededRandom random{7};
  TestFleet fleet;
  TrustAnchor anchor;  // of this aggregator: others have not heard of its lists
  Path issuer_dir;
  Path ca_revocations;
  EnrolmentOffice::Options options;
  int announced = 0;  // how often a publication was wanted
  std::vector<EnrolmentEvent> events;

 private:
  std::optional<SealingKeys> keys_;
  std::unique_ptr<EnrolmentOffice> enrolment_;
};

// The code of a refusal; what it was instead is a failure.
Code RefusalOf(const EnrolmentAnswer& answer);

}  // namespace tributary

#pragma once

#include <vector>

#include "aggregator/enrol/enrolment_office.h"
#include "protocol/transport/loop.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {

// Keeps the aggregator's own certificate fresh: members ask the aggregator for theirs, and it asks its own issuer, at
// the same part of a certificate's life (RenewalTime). The keys stay. As with a member's, the folder has the old chain
// or the new one, and the identity in memory changes on the loop's thread.
//
// Legal calls: construct, Look now and then, both on the loop's thread. Everything in Parts must outlive it, and it the
// work that it gave the core. Does not promise a certificate: without an issuer, or below one that ends no later, it
// says so in the log.
class OwnCertificate {
 public:
  struct Parts {
    Loop& loop;
    Executor& core;  // where the enrolment lives
    const Clock& clock;
    FileSystem& files;
    Identity& identity;
    const EnrolmentOffice& enrolment;
  };
  OwnCertificate(const Parts& parts, Path identity_folder);

  // Cheap when nothing is due.
  void Look();
  WallTime due() const;
  WallTime not_after() const { return own_.not_after; }

 private:
  void OnAnswer(const Result<std::vector<Bytes>>& chain);
  Status Take(const std::vector<Bytes>& chain);

  Parts parts_;
  Path folder_;
  VerifiedIdentity own_;
  bool asking_ = false;
  Millis again_{0};  // monotonic: not before, after an attempt that failed
};

}  // namespace tributary

#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "protocol/hop/client/client.h"
#include "protocol/trust/identity/enrolment_request.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {

// When a certificate's next one is asked for: at two thirds of its life, the day not counted that it lies before its
// making.
WallTime RenewalTime(const VerifiedIdentity& own);

// Keeps a running member's certificate fresh: at its RenewalTime it asks for the next one through the session
// that it has anyway, keeps it in the identity folder, and puts it into the identity in memory, from where the next
// handshake and the next upload take it. The keys stay. Nothing is torn: the folder has the old chain or the new one,
// and the identity changes on the loop's thread, so who works elsewhere takes a copy of its chain along.
//
// Legal call order: construct, Start, Stop; all on the loop's thread. Everything in Parts must outlive it. Does not
// promise a certificate: a member that was away for the last third of its life enrols anew.
class CertificateKeeper {
 public:
  struct Parts {
    Loop& loop;
    const Clock& clock;
    FileSystem& files;
    Identity& identity;
    HopClient& client;
  };
  // The key that a request is sealed to: from the publication in force. nullopt: there is none.
  using Target = std::function<std::optional<SealingTarget>()>;

  // Verifies the identity's chain: it was verified when it was loaded.
  CertificateKeeper(const Parts& parts, Path identity_folder, Target target);
  ~CertificateKeeper();

  void Start();
  void Stop();
  // When it asks for the next certificate, and when the present one ends.
  WallTime due() const { return RenewalTime(own_); }
  WallTime not_after() const { return own_.not_after; }
  uint64_t renewals() const { return renewals_; }
  // Why the last attempt gave no certificate; nullopt: there was none, or it worked.
  const std::optional<Error>& problem() const { return problem_; }

 private:
  void Look();
  void Ask();
  void OnAnswer(const EnrolmentAnswer& answer);
  Status Take(const std::vector<Bytes>& chain);
  void LookIn(Millis delay);

  Parts parts_;
  Path folder_;
  Target target_;
  VerifiedIdentity own_;
  Bytes request_;  // the same bytes until they are answered for good
  Bytes sealed_to_;
  bool asking_ = false;
  bool running_ = false;
  uint64_t renewals_ = 0;
  std::optional<Error> problem_;
  Loop::TimerId timer_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tributary

#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "protocol/hop/client/client.h"
#include "protocol/hop/server/server.h"
#include "protocol/trust/identity/enrolment_request.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {

// Replaces a gateway's connection key while everybody below goes on. A renewal gets a certificate for the next key. The
// gateway announces both for some days, so that every member that connects learns the key. Then it changes over to them
// at its next start. A member that was away for all of that time must be told the new key by hand.
//
// The rotation goes on after a restart, because it lies in the identity folder, below next/:
//   curve.key   the next secret key, mode 0600: with it a rotation has begun (`tributary-gateway rotate-key`)
//   cert.pem    its certificate, as in the identity folder
//   switch-at   Unix milliseconds, text: from when on they take the places of the present ones
//
// All on the loop's thread. Everything in Parts must outlive it.
class KeyRotation {
 public:
  struct Parts {
    const Clock& clock;
    FileSystem& files;
    const Identity& identity;
    HopClient& client;
    HopServer& server;
    std::function<std::optional<SealingTarget>()> target;  // of the publication in force
    std::function<void()> due;  // once: the gateway should end, so that its next start changes over
  };

  // Makes the next key. kConflict: a rotation is under way already.
  static Status Begin(FileSystem& files, const Path& identity_folder);
  // Changes over if it is time, and answers whether it did. Call it before the identity is loaded. After a kill in the
  // middle the next call finishes the change.
  static Result<bool> FinishIfDue(FileSystem& files, const Path& identity_folder, WallTime now);

  KeyRotation(Parts parts, const Path& identity_folder, Millis overlap);
  ~KeyRotation() { *alive_ = false; }
  // Call it every few seconds: goes on with what there is to do.
  void Look();

 private:
  void Ask();
  void OnAnswer(const EnrolmentAnswer& answer);
  Status Take(const std::vector<Bytes>& chain);
  Status Announce();

  Parts parts_;
  Path folder_;
  Millis overlap_;
  bool announced_ = false;
  bool asking_ = false;
  bool due_ = false;
  Bytes request_;
  Millis ask_again_{0};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tributary

#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "protocol/trust/identity/enrolment_request.h"
#include "protocol/hop/client/client.h"
#include "protocol/hop/server/server.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {

// A gateway's connection key is replaced while everybody below goes on: the next key gets a certificate, through a
// renewal; both are announced for some days, so that whoever comes by learns the key; then the gateway changes over to
// them at a start of its own. Who was away for all of that time must be told the new key by hand.
//
// What is under way lies in the identity folder, below next/, so that it goes on over restarts:
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
    std::function<std::optional<EnrolmentTarget>()> target;  // of the publication in force
    std::function<void()> due;  // once: the gateway should end, so that its next start changes over
  };

  // Makes the next key. kConflict: a rotation is under way already.
  static Status Begin(FileSystem& files, const Path& identity_folder);
  // Before the identity is loaded: changes over if it is time. Whether it did. A kill in the middle is made good by the
  // next call.
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
